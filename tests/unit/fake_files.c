/* tests/unit/fake_files.c - files of made-up hosts. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glib.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/fake_host.h"

void fake_host_put(const char *root, const char *path, const char *text)
{
	g_autofree char *full = g_build_filename(root, path, NULL);
	g_autofree char *dir = g_path_get_dirname(full);
	FILE *f;

	if (g_mkdir_with_parents(dir, 0755) < 0)
		g_error("%s: %s", dir, g_strerror(errno));
	f = fopen(full, "we");
	if (!f || fprintf(f, "%s\n", text) < 0 || fclose(f) != 0)
		g_error("%s: %s", full, g_strerror(errno));
}

char *fake_host_get(const char *root, const char *path)
{
	g_autofree char *full = g_build_filename(root, path, NULL);
	char *text;

	return g_file_get_contents(full, &text, NULL, NULL) ? g_strchomp(text) : NULL;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	return remove(path);
}

void fake_host_drop(const char *root, const char *path)
{
	g_autofree char *full = g_build_filename(root, path, NULL);

	if (nftw(full, remove_one, 32, FTW_DEPTH | FTW_PHYS) != 0)
		g_error("%s: %s", full, g_strerror(errno));
}

void fake_host_remove(char *root)
{
	fake_host_drop(root, "");
	g_free(root);
}

void fake_host_refuse(const char *root, const char *path, int error)
{
	g_autofree char *refusal = g_strconcat(path, ".refuse", NULL);
	g_autofree char *text = g_strdup_printf("%d", error);

	fake_host_put(root, refusal, text);
}

static const struct timespec long_ago[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };
static unsigned n_written;

static int settle_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	return utimensat(AT_FDCWD, path, long_ago, AT_SYMLINK_NOFOLLOW);
}

static int count_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	n_written += st->st_mtim.tv_sec != long_ago[1].tv_sec;
	return 0;
}

void fake_host_settle(const char *root)
{
	if (nftw(root, settle_one, 32, FTW_PHYS) != 0)
		g_error("%s: %s", root, g_strerror(errno));
}

unsigned fake_host_written(const char *root)
{
	n_written = 0;
	if (nftw(root, count_one, 32, FTW_PHYS) != 0)
		g_error("%s: %s", root, g_strerror(errno));
	return n_written;
}

void fake_host_link(const char *root, const char *path, const char *target)
{
	g_autofree char *full = g_build_filename(root, path, NULL);
	g_autofree char *dir = g_path_get_dirname(full);

	if (g_mkdir_with_parents(dir, 0755) < 0 || symlink(target, full) < 0)
		g_error("%s: %s", full, g_strerror(errno));
}
