/* mgmt/profile_write.c - a profile as text. */
#include <string.h>

#include "agent/base/jwrite.h"
#include "mgmt/profile_impl.h"

enum { INDENT = 4, DEFAULTS_SIZE = 8 * 1024 };

/* In parts, as that agent's library for URLs has them. */
static void write_url(GString *out, const char *key, const char *url)
{
	const char *colon = strstr(url, "://"), *host = colon ? colon + 3 : url;
	g_autofree char *scheme = g_strndup(url, colon ? (size_t)(colon - url) : 0);
	g_autofree char *name = g_strndup(host, strcspn(host, "/"));

	jwrite_open(out, key, '{');
	jwrite_string(out, "Scheme", scheme);
	jwrite_string(out, "Opaque", "");
	jwrite_null(out, "User");
	jwrite_string(out, "Host", name);
	jwrite_string(out, "Path", "");
	jwrite_string(out, "RawPath", "");
	jwrite_bool(out, "OmitHost", false);
	jwrite_bool(out, "ForceQuery", false);
	jwrite_string(out, "RawQuery", "");
	jwrite_string(out, "Fragment", "");
	jwrite_string(out, "RawFragment", "");
	jwrite_close(out, '}');
}

static void write_list(GString *out, const char *key, char *const *list)
{
	jwrite_open(out, key, '[');
	for (; *list; list++)
		jwrite_string(out, NULL, *list);
	jwrite_close(out, ']');
}

static void write_key(GString *out, const char *key, const struct wg_key *value)
{
	char text[KEY_STRLEN] = "";

	if (!key_is_zero(value))
		key_format(value, text);
	jwrite_string(out, key, text);
	explicit_bzero(text, sizeof(text));
}

static void write_member(GString *out, const struct profile_member *m, const void *at)
{
	int64_t number;

	switch (m->kind) {
	case PROFILE_BOOL:
		return jwrite_bool(out, m->key, *(const bool *)at);
	case PROFILE_SWITCH:
		number = *(const int64_t *)at;
		return number == PROFILE_UNSET ? jwrite_null(out, m->key)
					       : jwrite_bool(out, m->key, number != 0);
	case PROFILE_INT:
	case PROFILE_INT_OR_NULL:
		number = *(const int64_t *)at;
		return number == PROFILE_UNSET ? jwrite_null(out, m->key)
					       : jwrite_int(out, m->key, number);
	case PROFILE_STRING:
		return jwrite_string(out, m->key, *(char *const *)at);
	case PROFILE_URL:
		return write_url(out, m->key, *(char *const *)at);
	case PROFILE_LIST:
		return write_list(out, m->key, *(char **const *)at);
	case PROFILE_KEY:
		return write_key(out, m->key, at);
	}
}

GString *profile_format(const struct profile *profile)
{
	GString *out = g_string_sized_new(PROFILE_SIZE_MAX + DEFAULTS_SIZE);

	jwrite_open(out, NULL, '{');
	for (size_t i = 0; i < PROFILE_MEMBERS; i++)
		write_member(out, &profile_members[i], profile_at(profile, &profile_members[i]));
	jwrite_close(out, '}');
	return out;
}

/* -- for people ------------------------------------------------------------------------------- */

static void new_line(GString *out, size_t depth)
{
	g_string_append_c(out, '\n');
	for (size_t i = 0; i < depth * INDENT; i++)
		g_string_append_c(out, ' ');
}

/* Copies a string, or one character. Returns how much of the text that was. */
static size_t copy_token(GString *out, const char *at, const char *end)
{
	const char *from = at;

	if (*at++ == '"') {
		while (at < end && *at != '"')
			at += *at == '\\' && end - at > 1 ? 2 : 1;
		at += at < end;
	}
	g_string_append_len(out, from, at - from);
	return (size_t)(at - from);
}

static bool closes(const char *at, const char *end)
{
	while (at < end && g_ascii_isspace(*at))
		at++;
	return at < end && (*at == '}' || *at == ']');
}

GString *profile_indent(const char *json, size_t len)
{
	/* The most grows what is an empty string in a list: from three bytes to twelve. */
	GString *out = g_string_sized_new(4 * len + 64);
	const char *end = json + len;
	size_t depth = 0;

	for (const char *at = json; at < end;) {
		char c = *at;
		bool empty;

		if (g_ascii_isspace(c)) {
			at++;
			continue;
		}
		empty = (c == '{' || c == '[') && closes(at + 1, end);
		if ((c == '}' || c == ']') && depth && out->str[out->len - 1] != '{' &&
			out->str[out->len - 1] != '[')
			new_line(out, --depth);
		at += copy_token(out, at, end);
		if (c == ':')
			g_string_append_c(out, ' ');
		else if (c == ',' || ((c == '{' || c == '[') && !empty))
			new_line(out, c == ',' ? depth : ++depth);
	}
	return g_string_append_c(out, '\n');
}

void profile_text_free(GString *text)
{
	if (!text)
		return;
	explicit_bzero(text->str, text->allocated_len);
	g_string_free(text, TRUE);
}
