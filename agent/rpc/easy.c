/* agent/rpc/easy.c - certificates, addresses and the mark of a transfer. */
#include "agent/rpc/easy.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "agent/base/auto.h"

enum { ADDRESSES_MAX = 8 };

/* Are there certificates named by their hash, as OpenSSL looks for them? */
static bool is_hashed(const char *path)
{
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir)))
		if (strspn(name, "0123456789abcdef") == 8 && g_str_has_suffix(name, ".0"))
			return true;
	return false;
}

void easy_trust(CURL *easy, const char *ca_file, const char *ca_dir)
{
	static const char directory[] = "/etc/ssl/certs";

	if (ca_file || ca_dir) {
		curl_easy_setopt(easy, CURLOPT_CAINFO, ca_file);
		curl_easy_setopt(easy, CURLOPT_CAPATH, ca_dir);
	} else if (is_hashed(directory)) {
		/* One certificate is read instead of all of them: 0.8 MB. */
		curl_easy_setopt(easy, CURLOPT_CAINFO, NULL);
		curl_easy_setopt(easy, CURLOPT_CAPATH, directory);
	}
}

char *easy_cannot_read(const char *path, bool directory)
{
	_auto_close_ int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
	struct stat st;

	if (!path)
		return NULL;
	if (fd < 0 || fstat(fd, &st) < 0)
		return g_strdup_printf("%s: %s", path, g_strerror(errno));
	if (directory != S_ISDIR(st.st_mode))
		return g_strdup_printf("%s: %s", path, g_strerror(directory ? ENOTDIR : EISDIR));
	if (directory && !is_hashed(path))
		return g_strdup_printf(
			"%s: no certificate by the name of its hash (openssl rehash)", path);
	return NULL;
}

struct curl_slist *easy_hosts(GList *addresses, uint16_t port)
{
	g_autoptr(GString) hosts = g_string_new(NULL);
	unsigned n = 0;

	g_string_printf(hosts, "*:%u:", port);
	for (GList *l = addresses; l && n < ADDRESSES_MAX; l = l->next, n++) {
		g_autofree char *address = g_inet_address_to_string(l->data);

		g_string_append_printf(
			hosts, strchr(address, ':') ? "%s[%s]" : "%s%s", n ? "," : "", address);
	}
	g_resolver_free_addresses(addresses);
	return curl_slist_append(NULL, hosts->str);
}

int easy_mark(curl_socket_t fd, uint32_t mark)
{
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	if (mark && setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) < 0)
		return -errno;
	return 0;
}
