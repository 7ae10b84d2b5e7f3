/* mgmt/url.c - addresses of management servers, as people write them; names of states. */
#include <arpa/inet.h>
#include <errno.h>
#include <glib.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/text.h"
#include "mgmt/client.h"

enum { HOST_MAX = 253 };

__attribute__((format(printf, 2, 3))) static int fail(
	char error[static MGMT_ERROR_MAX], const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, MGMT_ERROR_MAX, format, args);
	va_end(args);
	return -EINVAL;
}

static bool is_name(const char *host)
{
	size_t len = strlen(host), label = 0;

	if (!len || len > HOST_MAX)
		return false;
	for (const char *c = host; *c; c++) {
		if (*c == '.' ? !label : !g_ascii_isalnum(*c) && *c != '-' && *c != '_')
			return false;
		label = *c == '.' ? 0 : label + 1;
		if (label > 63)
			return false;
	}
	return true;
}

/* Digits and dots alone are an address, or a mistake. */
static bool is_host(const char *host)
{
	struct in_addr v4;

	if (strspn(host, "0123456789.") == strlen(host))
		return inet_pton(AF_INET, host, &v4) == 1;
	return is_name(host);
}

/* "[2001:db8::1]:443" or "host:443" to its two parts; both may end up empty. False: brackets. */
static bool split(const char *authority, char **ret_host, const char **ret_port)
{
	const char *end, *colon;

	if (authority[0] == '[') {
		end = strchr(authority, ']');
		if (!end || (end[1] && end[1] != ':'))
			return false;
		*ret_host = g_strndup(authority + 1, (size_t)(end - authority - 1));
		*ret_port = end[1] ? end + 2 : NULL;
		return true;
	}
	colon = strchr(authority, ':');
	*ret_host = colon ? g_strndup(authority, (size_t)(colon - authority)) : g_strdup(authority);
	*ret_port = colon ? colon + 1 : NULL;
	return true;
}

static int read_port(const char *text, uint16_t by_default)
{
	guint64 port;

	if (!text)
		return by_default;
	if (!g_ascii_string_to_unsigned(text, 10, 1, UINT16_MAX, &port, NULL))
		return -EINVAL;
	return (int)port;
}

int mgmt_url_parse(const char *text, char **ret, char error[static MGMT_ERROR_MAX])
{
	bool secure = !g_ascii_strncasecmp(text, "https://", 8);
	const char *authority = text + (secure ? 8 : 7), *port_text;
	g_autofree char *host = NULL, *plain = NULL;
	size_t len;
	struct in6_addr v6;
	bool brackets;
	int port;

	if (!secure && g_ascii_strncasecmp(text, "http://", 7))
		return fail(error, "not https://HOST[:PORT] or http://HOST[:PORT]");
	len = strcspn(authority, "/?#");
	if (authority[len] && strcmp(authority + len, "/"))
		return fail(
			error, "path, query or fragment behind the host: only the host is used");
	plain = g_strndup(authority, len);
	if (strchr(plain, '@'))
		return fail(error, "user or password before the host: not used");
	brackets = plain[0] == '[';
	if (!split(plain, &host, &port_text))
		return fail(error, "brackets that are not closed, or not followed by \":PORT\"");
	if (brackets ? inet_pton(AF_INET6, host, &v6) != 1 : !is_host(host)) {
		char shown[300];

		text_escape(shown, sizeof(shown), host, strlen(host));
		return fail(error, "\"%s\" is no host name or address", shown);
	}
	port = read_port(port_text, secure ? 443 : 80);
	if (port < 0)
		return fail(error, "the port is not a number from 1 to 65535");
	for (char *c = host; *c; c++)
		*c = g_ascii_tolower(*c);
	*ret = g_strdup_printf(
		brackets ? "%s://[%s]:%d" : "%s://%s:%d", secure ? "https" : "http", host, port);
	return 0;
}

bool mgmt_url_is_cleartext(const char *url)
{
	g_autofree char *host = NULL, *plain = NULL;
	const char *port;
	struct in6_addr v6;

	if (g_ascii_strncasecmp(url, "http://", 7))
		return false;
	plain = g_strndup(url + 7, strcspn(url + 7, "/?#"));
	if (!split(plain, &host, &port))
		return true;
	if (inet_pton(AF_INET6, host, &v6) == 1)
		return !IN6_IS_ADDR_LOOPBACK(&v6);
	if (strspn(host, "0123456789.") == strlen(host))
		return strncmp(host, "127.", 4) != 0;
	return g_ascii_strcasecmp(host, "localhost") != 0;
}

const char *mgmt_state_name(enum mgmt_state state)
{
	static const char *const names[] = { [MGMT_STOPPED] = "stopped",
		[MGMT_CONNECTING] = "connecting",
		[MGMT_CONNECTED] = "connected",
		[MGMT_WAITING] = "waiting",
		[MGMT_LOGIN_NEEDED] = "login_needed" };

	return names[state];
}

const char *mgmt_failure_name(enum mgmt_failure failure)
{
	static const char *const names[] = { [MGMT_OK] = "ok",
		[MGMT_UNREACHABLE] = "unreachable",
		[MGMT_TLS] = "tls",
		[MGMT_KEY_REFUSED] = "setup_key_refused",
		[MGMT_KEY_NEEDED] = "setup_key_needed",
		[MGMT_DENIED] = "denied",
		[MGMT_PROTOCOL] = "protocol",
		[MGMT_SERVER_KEY_CHANGED] = "server_key_changed",
		[MGMT_REFUSED] = "refused" };

	return names[failure];
}
