/* agent/sessions.h - ICE sessions of connected peers on disk, for those that go on checking while we restart. */
#pragma once

#include <stddef.h>

struct nego_session;

/* 0 or -errno; no file is none. A damaged one is moved aside. Free with sessions_wipe. */
int sessions_load(const char *state_dir, struct nego_session **ret, size_t *ret_n);
int sessions_save(const char *state_dir, const struct nego_session *sessions, size_t n);
void sessions_remove(const char *state_dir);
void sessions_wipe(struct nego_session *sessions, size_t n);
