/* mgmt/hostport.c - tells addresses from names. */
#include "mgmt/hostport.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

bool hostport_name_is_good(const char *s, size_t len, size_t max)
{
	if (len < 1 || len > max)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!g_ascii_isalnum(s[i]) && !memchr("_.-", s[i], 3))
			return false;
	return true;
}

bool hostport_looks_like_ipv4(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!g_ascii_isdigit(s[i]) && s[i] != '.')
			return false;
	return true;
}

/* "name:port", as far as it can be told without asking anybody. */
static bool parse_name(const char *s, size_t len, size_t *ret_name_len, uint16_t *ret_port)
{
	const char *colon = memchr(s, ':', len);
	size_t name_len = colon ? (size_t)(colon - s) : 0;
	unsigned port = 0;

	if (!colon || len - name_len > 6)
		return false;
	for (const char *p = colon + 1; p < s + len; p++) {
		if (!g_ascii_isdigit(*p))
			return false;
		port = port * 10 + (unsigned)(*p - '0');
	}
	*ret_name_len = name_len;
	*ret_port = (uint16_t)port;
	return port >= 1 && port <= 65535 &&
		hostport_name_is_good(s, name_len, HOSTPORT_NAME_MAX) &&
		!hostport_looks_like_ipv4(s, name_len);
}

int hostport_parse(const char *s, size_t len, struct endpoint *ret, size_t *ret_name_len)
{
	struct endpoint named = { 0 };
	int r = endpoint_parse(s, len, ret);

	*ret_name_len = 0;
	if (r == 0 || r == -ENODEV)
		return r;
	if (!parse_name(s, len, ret_name_len, &named.port))
		return -EINVAL;
	*ret = named;
	return 0;
}
