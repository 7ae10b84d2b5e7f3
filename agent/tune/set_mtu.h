/* agent/tune/set_mtu.h - gives an interface the MTU that was measured, so that `tune revert` takes it back. */
#pragma once

#include <stdbool.h>

/* 0, with *ret_changed, or -errno with `error` in words. */
int tune_set_mtu(const char *root, const char *iface, const char *value, bool *ret_changed,
	char error[static 256]);
