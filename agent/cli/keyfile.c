/* agent/cli/keyfile.c - the private key of this host and who owns it. */
#include "agent/cli/keyfile.h"

#include <errno.h>
#include <glib.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/file.h"

/* The daemon's user, where we are root and it exists; else NULL: all is our own. */
static const struct passwd *owner(void)
{
	return geteuid() == 0 ? getpwnam("lapwing") : NULL;
}

int keyfile_read(const char *path, struct wg_key *ret)
{
	const struct passwd *user = owner();
	gid_t group = getegid();
	struct stat st;
	int r;

	/* Root trusts no file of another user, but that user itself may read its own. */
	if (!user || lstat(path, &st) < 0 || st.st_uid != user->pw_uid)
		return key_read_file(path, ret);
	if (setegid(user->pw_gid) < 0 || seteuid(user->pw_uid) < 0)
		return -errno;
	r = key_read_file(path, ret);
	if (seteuid(0) < 0 || setegid(group) < 0)
		return -errno;
	return r;
}

static int make_directory(const char *path, const struct passwd *user)
{
	g_autofree char *dir = g_path_get_dirname(path);

	if (mkdir(dir, 0700) < 0)
		return errno == EEXIST ? 0 : -errno;
	if (user && lchown(dir, user->pw_uid, user->pw_gid) < 0)
		return -errno;
	return 0;
}

/* Into place under another name first: link fails where rename would replace. */
static int put_in_place(const char *from, const char *path, const struct passwd *user, bool replace)
{
	if (user && lchown(from, user->pw_uid, user->pw_gid) < 0)
		return -errno;
	if (replace)
		return rename(from, path) < 0 ? -errno : 0;
	return link(from, path) < 0 ? -errno : 0;
}

int keyfile_write(const char *path, const struct wg_key *key, bool replace)
{
	g_autofree char *from = g_strdup_printf("%s.new.%d", path, (int)getpid());
	const struct passwd *user = owner();
	int r;

	r = make_directory(path, user);
	if (r < 0)
		return r;
	r = key_write_file(from, key);
	if (r < 0)
		return r;
	r = put_in_place(from, path, user, replace);
	unlink(from);
	return r;
}
