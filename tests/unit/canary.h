/* tests/unit/canary.h - looks for a secret in this process's memory, without ever having it there itself. */
#pragma once

#include <fcntl.h>
#include <glib.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Larger mappings are the sanitizers' own. */
enum { CANARY_CHUNK = 1024 * 1024, CANARY_MAP_MAX = 256 * 1024 * 1024 };

/* Hidden text has 1 added to each byte. */
static inline void canary_reveal(const char *hidden, char *ret)
{
	for (; *hidden; hidden++)
		*ret++ = (char)(*hidden - 1);
	*ret = '\0';
}

static inline bool canary_is_at(const char *hidden, const char *at)
{
	while (*hidden && *at == (char)(*hidden - 1)) {
		hidden++;
		at++;
	}
	return !*hidden;
}

static inline bool canary_is_in(const char *hidden, int fd, uint64_t from, uint64_t to, char *chunk)
{
	size_t len = strlen(hidden);

	while (from < to) {
		ssize_t n = pread(fd, chunk, MIN(CANARY_CHUNK, to - from), (off_t)from);

		if (n < (ssize_t)len)
			return false;
		for (ssize_t i = 0; i + (ssize_t)len <= n; i++)
			if (canary_is_at(hidden, chunk + i))
				return true;
		from += (uint64_t)n < CANARY_CHUNK ? (uint64_t)n : (uint64_t)n - len;
	}
	return false;
}

/* In anything that can be written: heap, stacks, data. */
static inline bool canary_is_in_memory(const char *hidden)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	char *chunk = g_malloc(CANARY_CHUNK), line[512], mode[8];
	uint64_t from, to;
	bool found = false;

	g_assert_nonnull(maps);
	g_assert_cmpint(fd, >=, 0);
	while (!found && fgets(line, sizeof(line), maps))
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s", &from, &to, mode) == 3 &&
			mode[1] == 'w' && to - from <= CANARY_MAP_MAX)
			found = canary_is_in(hidden, fd, from, to, chunk);
	fclose(maps);
	close(fd);
	memset(chunk, 0, CANARY_CHUNK);
	g_free(chunk);
	return found;
}
