/* agent/base/text.c - UTF-8 checks (Unicode 15, table 3-7) and escaping for people's eyes. */
#include "agent/base/text.h"

#include <glib.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

size_t text_utf8_len(const char *s, const char *end)
{
	uint8_t first = (uint8_t)s[0];
	size_t n = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
	uint32_t code = first & (0x7fu >> n);
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };

	if (first < 0x80)
		return 1;
	if (first < 0xc2 || first > 0xf4 || (size_t)(end - s) < n)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if (((uint8_t)s[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | ((uint8_t)s[i] & 0x3f);
	}
	return code < least[n] || code > 0x10ffff || (code & ~0x7ffu) == 0xd800 ? 0 : n;
}

size_t text_escape(char *buf, size_t size, const char *s, size_t len)
{
	const char *end = s + len;
	size_t at = 0, cut = 0; /* cut: the last place that leaves room for the dots */

	while (s < end) {
		size_t n = text_utf8_len(s, end);
		bool plain = n && g_unichar_isprint(g_utf8_get_char(s));
		size_t need = plain ? n : 4;

		if (at + need >= size) {
			memcpy(buf + cut, "...", 4);
			return cut + 3;
		}
		if (plain) {
			memcpy(buf + at, s, n);
			s += n;
		} else {
			snprintf(buf + at, 5, "\\x%02x", (unsigned)(uint8_t)*s++);
		}
		at += need;
		if (at + 4 <= size)
			cut = at;
	}
	buf[at] = '\0';
	return at;
}

static bool is_label(const char *s, size_t len)
{
	if (len < 1 || len > 63 || s[0] == '-' || s[len - 1] == '-')
		return false;
	for (size_t i = 0; i < len; i++)
		if (!g_ascii_isalnum(s[i]) && s[i] != '-')
			return false;
	return true;
}

bool text_is_hostname(const char *s, size_t len)
{
	const char *end = s + len, *dot;

	if (len > HOSTNAME_MAX)
		return false;
	while ((dot = memchr(s, '.', (size_t)(end - s)))) {
		if (!is_label(s, (size_t)(dot - s)))
			return false;
		s = dot + 1;
	}
	return is_label(s, (size_t)(end - s));
}

bool text_is_interface_name(const char *s, size_t len)
{
	bool digits = true;

	if (len < 1 || len >= IFNAMSIZ || (s[0] == '.' && (len == 1 || s[1] == '.')))
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!g_ascii_isalnum(s[i]) && !memchr("_.-", s[i], 3))
			return false;
		digits = digits && g_ascii_isdigit(s[i]);
	}
	return !digits;
}

bool text_is_http_url(const char *s, size_t len)
{
	g_autofree char *text = NULL, *scheme = NULL, *user = NULL, *host = NULL, *fragment = NULL;
	int port;

	for (size_t i = 0; i < len; i++)
		if (!g_ascii_isgraph(s[i]))
			return false;
	if (len > TEXT_URL_MAX)
		return false;
	text = g_strndup(s, len);
	if (!g_uri_split(text, G_URI_FLAGS_NONE, &scheme, &user, &host, &port, NULL, NULL,
		    &fragment, NULL))
		return false;
	return (!g_strcmp0(scheme, "http") || !g_strcmp0(scheme, "https")) && host && *host &&
		port && !user && !fragment;
}
