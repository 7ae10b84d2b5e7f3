/* tests/fuzz/fuzz_request.c - any bytes as the small answers of a server: its key, a job. The packers of
 * the same file are measured too. */
/* covers: mgmt/request.c */
#include <assert.h>
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "mgmt/meta.h"
#include "mgmt/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a host says, with pieces of the bytes in it. */
static void pack(const uint8_t *data, size_t size)
{
	g_autofree char *path = g_strndup((const char *)data, size);
	struct meta_address address = { "192.0.2.1/24", "02:00:00:00:00:01" };
	struct meta_file file = { path, true, false };
	struct meta meta = { .container = size % 3 ? "" : "Docker",
		.ipv6 = size % 2,
		.addresses = &address,
		.n_addresses = size % 2,
		.files = &file,
		.n_files = size % 2 };
	const char *const labels[] = { "a", NULL };
	struct wg_key key = { { 9 } };
	size_t len;

	g_strlcpy(meta.hostname, path, sizeof(meta.hostname));
	g_free(request_login(&meta, &key, size % 2 ? "key" : NULL, size % 3 ? labels : NULL, &len));
	assert(len > 0);
	g_free(request_sync(&meta, &len));
	g_free(request_job_failed(data, size, "no", &len));
	g_free(request_job_hello(&len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t id[REQUEST_JOB_ID_MAX];
	struct wg_key key;
	size_t id_len;
	int r;

	r = request_read_key(data, size, &key);
	assert(r == 0 || r == -EPROTO);
	r = request_read_job(data, size, id, &id_len);
	assert(r == 0 || r == -EPROTO || r == -ENOENT);
	assert(r || (id_len > 0 && id_len <= sizeof(id)));
	if (size < 4096)
		pack(data, size);
	return 0;
}
