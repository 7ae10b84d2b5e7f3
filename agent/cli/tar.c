/* agent/cli/tar.c - an archive in memory. */
#include "agent/cli/tar.h"

#include <stdio.h>
#include <string.h>

enum { BLOCK = 512 };

/* Numbers are octal text; what is not set is zero. */
struct header {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type;
	char link[100], magic[6], version[2], user[32], group[32], device[16], prefix[155];
	char pad[12];
};
G_STATIC_ASSERT(sizeof(struct header) == BLOCK);

static unsigned sum_of(const struct header *h)
{
	const unsigned char *bytes = (const unsigned char *)h;
	unsigned sum = 0;

	for (size_t i = 0; i < sizeof(*h); i++)
		sum += bytes[i];
	return sum;
}

static void pad(GString *archive, size_t n)
{
	static const char zeros[BLOCK];

	for (; n; n -= MIN(n, sizeof(zeros)))
		g_string_append_len(archive, zeros, (gssize)MIN(n, sizeof(zeros)));
}

void tar_add(GString *archive, const char *name, const char *data, size_t len, int64_t wall_s)
{
	struct header h = { .type = '0', .magic = "ustar", .version = { '0', '0' } };

	g_strlcpy(h.name, name, sizeof(h.name));
	snprintf(h.mode, sizeof(h.mode), "%07o", 0600);
	snprintf(h.uid, sizeof(h.uid), "%07o", 0);
	snprintf(h.gid, sizeof(h.gid), "%07o", 0);
	snprintf(h.size, sizeof(h.size), "%011zo", len);
	snprintf(h.mtime, sizeof(h.mtime), "%011" G_GINT64_MODIFIER "o", wall_s);
	memset(h.checksum, ' ', sizeof(h.checksum)); /* as which it is counted */
	snprintf(h.checksum, sizeof(h.checksum), "%06o", sum_of(&h));
	g_string_append_len(archive, (const char *)&h, sizeof(h));
	g_string_append_len(archive, data, (gssize)len);
	pad(archive, (BLOCK - len % BLOCK) % BLOCK);
}

void tar_end(GString *archive)
{
	pad(archive, 2 * BLOCK);
}
