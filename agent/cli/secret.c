/* agent/cli/secret.c - secrets that come from a file or from standard input, and go to a file. */
#include "agent/cli/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/file.h"
#include "agent/cli/output.h"

int secret_read_fd(int fd, size_t limit, char **ret, size_t *ret_len)
{
	/* One byte more than it may be, and one for the end: it never has to grow. */
	char *text = g_malloc(limit + 2);
	size_t len = 0;
	ssize_t n;

	do {
		n = read(fd, text + len, limit + 1 - len);
		len += (size_t)MAX(n, 0);
	} while ((n > 0 && len <= limit) || (n < 0 && errno == EINTR));
	if (n < 0 || len > limit) {
		int r = n < 0 ? -errno : -EFBIG;

		secret_free(text, len);
		return r;
	}
	text[len] = '\0';
	*ret = text;
	*ret_len = len;
	return 0;
}

int secret_read(const char *path, size_t limit, char **ret, size_t *ret_len, bool *ret_exposed)
{
	_auto_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	*ret_exposed = S_ISREG(st.st_mode) && st.st_mode & S_IROTH;
	return secret_read_fd(fd, limit, ret, ret_len);
}

enum exit_code secret_take(const char *path, size_t limit, char **ret, size_t *ret_len,
	const char **ret_from, struct failure *f)
{
	bool exposed = false;
	int r;

	*ret_from = path ? path : "standard input";
	if (path)
		r = secret_read(path, limit, ret, ret_len, &exposed);
	else
		r = secret_read_fd(STDIN_FILENO, limit, ret, ret_len);
	if (r < 0)
		return failure_set(f, r == -EACCES || r == -EPERM ? EXIT_PERMISSION : EXIT_CONFIG,
			NULL, "%s: %s", *ret_from, g_strerror(-r));
	if (exposed)
		fprintf(stderr, "lapwing: warning: everybody on this host can read %s\n", path);
	return EXIT_OK;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

void secret_trim(const char **text, size_t *len)
{
	for (; *len && is_space((*text)[*len - 1]); --*len)
		;
	for (; *len && is_space(**text); --*len)
		++*text;
}

void secret_free(char *text, size_t len)
{
	if (text)
		explicit_bzero(text, len);
	g_free(text);
}

/* Into place under another name first: link fails where rename would replace. */
int secret_write(const char *path, const char *text, size_t len, bool replace)
{
	g_autofree char *from = g_strdup_printf("%s.new.%d", path, (int)getpid());
	int r;

	if (replace)
		return file_write(path, text, len, 0600);
	r = file_write(from, text, len, 0600);
	if (r < 0)
		return r;
	r = link(from, path) < 0 ? -errno : 0;
	unlink(from);
	return r;
}
