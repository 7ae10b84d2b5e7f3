/* agent/base/auto.h - cleanup attributes that GLib lacks. */
#pragma once

#include <unistd.h>

#include "agent/base/key.h"

static inline void auto_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

#define _auto_close_ __attribute__((cleanup(auto_close)))
#define _auto_wipe_ __attribute__((cleanup(key_wipe)))
