/* agent/state_records.c - state files of records of one size, with a checksum. */
#include "agent/state_records.h"

#include <errno.h>
#include <glib.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/base/file.h"
#include "agent/base/log.h"

/* Numbers are little-endian. The sum is SHA-256 of all before it. */
enum { MAGIC = 8, VERSION_AT = MAGIC, COUNT_AT = MAGIC + 4, HEAD = MAGIC + 8, SUM = 32 };

bool state_is_damage(int r)
{
	return r == -EINVAL || r == -EFBIG || r == -ELOOP || r == -EPERM;
}

void state_move_aside(const char *path, const char *why)
{
	g_autofree char *to = g_strconcat(path, ".corrupt", NULL);

	if (rename(path, to) < 0)
		log_warn_errno(-errno, "%s: %s, ignoring it; cannot move it aside", path, why);
	else
		log_warn("%s: %s, moved to %s and ignored", path, why, to);
}

static void put_u32(char *at, uint32_t value)
{
	value = GUINT32_TO_LE(value);
	memcpy(at, &value, sizeof(value));
}

static uint32_t get_u32(const char *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return GUINT32_FROM_LE(value);
}

static void sum(const char *data, size_t len, char ret[static SUM])
{
	g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
	gsize n = SUM;

	g_checksum_update(checksum, (const guchar *)data, (gssize)len);
	g_checksum_get_digest(checksum, (guint8 *)ret, &n);
}

/* What is wrong with the file, or NULL. */
static const char *check(const struct state_records *kind, const char *data, size_t len)
{
	char expected[SUM];

	if (len < HEAD + SUM)
		return "too short";
	if (memcmp(data, kind->magic, MAGIC))
		return "not a file of this kind";
	if (get_u32(data + VERSION_AT) != kind->version)
		return "unknown version";
	if (len != HEAD + (uint64_t)get_u32(data + COUNT_AT) * kind->size + SUM)
		return "wrong length";
	sum(data, len - SUM, expected);
	return memcmp(expected, data + len - SUM, SUM) ? "wrong checksum" : NULL;
}

int state_records_load(
	const char *path, const struct state_records *kind, uint8_t **ret, size_t *ret_n)
{
	size_t limit = HEAD + (size_t)STATE_RECORDS_MAX * kind->size + SUM, len = 0;
	g_autofree char *data = NULL;
	const char *problem;
	int r;

	*ret = NULL;
	*ret_n = 0;
	r = file_read(path, limit, &data, &len);
	if (r < 0 && !state_is_damage(r))
		return r == -ENOENT ? 0 : r;
	problem = r < 0 ? file_strerror(r) : check(kind, data, len);
	if (problem) {
		state_move_aside(path, problem);
	} else {
		*ret_n = get_u32(data + COUNT_AT);
		*ret = g_memdup2(data + HEAD, *ret_n * kind->size);
	}
	if (data) /* there may be secrets in it */
		explicit_bzero(data, len);
	return 0;
}

int state_records_save(
	const char *path, const struct state_records *kind, const void *records, size_t n)
{
	size_t len = HEAD + n * kind->size;
	g_autofree char *data = NULL;
	int r;

	if (n > STATE_RECORDS_MAX)
		return -EFBIG;
	data = g_malloc(len + SUM);
	memcpy(data, kind->magic, MAGIC);
	put_u32(data + VERSION_AT, kind->version);
	put_u32(data + COUNT_AT, (uint32_t)n);
	if (n)
		memcpy(data + HEAD, records, n * kind->size);
	sum(data, len, data + len);
	r = file_write(path, data, len + SUM, 0600);
	explicit_bzero(data, len);
	return r;
}

void state_endpoint_encode(const struct endpoint *from, struct state_endpoint *ret)
{
	*ret = (struct state_endpoint){ .ip_version = from->family == AF_INET ? 4
			: from->family == AF_INET6                            ? 6
									      : 0,
		.port = GUINT16_TO_LE(from->port),
		.scope = GUINT32_TO_LE(from->scope) };
	memcpy(ret->addr, from->addr, sizeof(ret->addr));
}

bool state_endpoint_decode(const struct state_endpoint *from, struct endpoint *ret)
{
	bool v4 = from->ip_version == 4, v6 = from->ip_version == 6;

	if ((from->ip_version && !v4 && !v6) || !from->port != !from->ip_version)
		return false;
	memset(ret, 0, sizeof(*ret)); /* compared as bytes */
	ret->family = v4 ? AF_INET : v6 ? AF_INET6 : 0;
	ret->port = GUINT16_FROM_LE(from->port);
	ret->scope = v6 ? GUINT32_FROM_LE(from->scope) : 0;
	memcpy(ret->addr, from->addr, v4 ? 4 : v6 ? 16 : 0);
	return true;
}
