/* mgmt/request.h - the plain bytes of what we say to a management server, and of its small answers. Pure.
 *
 * What is packed may hold a setup key and says much about the host: envelope_wipe it after sealing. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "agent/base/key.h"

struct meta;

enum { REQUEST_JOB_ID_MAX = 256 };

/* The version of NetBird's agent that we tell servers and peers to be like. */
extern const char request_version[];

/* `setup_key` NULL: a probe. `labels` is NULL-terminated, or NULL. Free with g_free or envelope_wipe. */
uint8_t *request_login(const struct meta *meta, const struct wg_key *own_public,
	const char *setup_key, const char *const labels[], size_t *ret_len);
/* Also a SyncMetaRequest: both hold the meta alone. */
uint8_t *request_sync(const struct meta *meta, size_t *ret_len);
/* The first message of a Job stream. */
uint8_t *request_job_hello(size_t *ret_len);
/* Job `id` was not done, and why. */
uint8_t *request_job_failed(const uint8_t *id, size_t id_len, const char *why, size_t *ret_len);

/* -- small answers: foreign bytes ----------------------------------------------------------- */

/* A ServerKeyResponse. 0 or -EPROTO: no such message, or no key in it. */
int request_read_key(const uint8_t *data, size_t len, struct wg_key *ret);
/* The id of a JobRequest. 0; -EPROTO; -ENOENT: it has none, and is nothing. */
int request_read_job(const uint8_t *plain, size_t len, uint8_t ret_id[static REQUEST_JOB_ID_MAX],
	size_t *ret_len);
