/* agent/cli/anonymize.c - takes out of texts who and where. */
#include "agent/cli/anonymize.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <string.h>

#include "agent/base/addr.h"
#include "agent/base/key.h"

struct anonymizer {
	enum anonymize level;
	GHashTable *names; /* in small letters -> what stands for it; NULL: not seen yet */
	GHashTable *keys, *addresses; /* text -> what stands for it */
	unsigned n_names;
};

#define DIGITS "0123456789"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

struct anonymizer *anonymizer_new(enum anonymize level)
{
	struct anonymizer *a = g_new0(struct anonymizer, 1);

	a->level = level;
	a->names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	a->keys = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	a->addresses = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	return a;
}

void anonymizer_free(struct anonymizer *a)
{
	if (!a)
		return;
	g_hash_table_unref(a->names);
	g_hash_table_unref(a->keys);
	g_hash_table_unref(a->addresses);
	g_free(a);
}

void anonymizer_learn(struct anonymizer *a, const char *name)
{
	char *small = g_ascii_strdown(name, -1);

	if (*small && !g_hash_table_contains(a->names, small))
		g_hash_table_insert(a->names, small, g_strdup_printf("host-%u", ++a->n_names));
	else
		g_free(small);
}

/* -- what may begin at a place ---------------------------------------------------------------- */

static const char *stand_in(GHashTable *table, const char *kind, const char *text)
{
	const char *known = g_hash_table_lookup(table, text);

	if (known)
		return known;
	g_hash_table_insert(table, g_strdup(text),
		g_strdup_printf("%s-%u", kind, g_hash_table_size(table) + 1));
	return g_hash_table_lookup(table, text);
}

/* Each takes what it knows at the beginning of `s`; returns its length, 0: that is none. */
static size_t take_key(struct anonymizer *a, GString *out, const char *s)
{
	char text[KEY_STRLEN];
	struct wg_key key;
	size_t len = strspn(s, LETTERS DIGITS "+/=");

	if (len != KEY_STRLEN - 1 || key_parse(s, len, &key) < 0)
		return 0;
	memcpy(text, s, len);
	text[len] = '\0';
	g_string_append(out, stand_in(a->keys, "key", text));
	return len;
}

/* Nobody outside can tell from it whose it is. */
static bool is_private(int family, const uint8_t *addr)
{
	static const uint8_t mapped[12] = { [10] = 0xff, 0xff };

	if (family == AF_INET6 && !memcmp(addr, mapped, sizeof(mapped)))
		return is_private(AF_INET, addr + sizeof(mapped));
	if (family == AF_INET)
		return addr[0] == 10 || addr[0] == 0 || addr[0] >= 224 ||
			(addr[0] == 172 && addr[1] >> 4 == 1) ||
			(addr[0] == 192 && addr[1] == 168) || (addr[0] == 169 && addr[1] == 254) ||
			(addr[0] == 100 && addr[1] >> 6 == 1);
	return addr[0] >> 1 == 0xfc >> 1 || (addr[0] == 0xfe && addr[1] >> 6 == 2) ||
		addr[0] == 0xff;
}

static bool is_nowhere(int family, const uint8_t *addr)
{
	static const uint8_t loopback[16] = { [15] = 1 }, none[16];

	return family == AF_INET ? addr[0] == 127 || !memcmp(addr, none, 4)
				 : !memcmp(addr, loopback, 16) || !memcmp(addr, none, 16);
}

/* The address goes on, or it is part of something else. */
static bool goes_on(const char *rest)
{
	if (*rest && strchr(LETTERS DIGITS "_", *rest))
		return true;
	return (rest[0] == '.' && g_ascii_isdigit(rest[1])) || (rest[0] == ':' && rest[1] == ':');
}

/* The longest address that ends where an address may: a port or the end of a sentence may follow. */
static size_t find_address(
	const char *s, int family, char text[static INET6_ADDRSTRLEN], uint8_t *addr)
{
	size_t n = strspn(s, family == AF_INET ? DIGITS "." : DIGITS "abcdefABCDEF:.");

	for (n = MIN(n, INET6_ADDRSTRLEN - 1); n > 1; n--) {
		memcpy(text, s, n);
		text[n] = '\0';
		if (inet_pton(family, text, addr) == 1 && !goes_on(s + n))
			return n;
	}
	return 0;
}

static size_t take_address(struct anonymizer *a, GString *out, const char *s)
{
	char text[INET6_ADDRSTRLEN];
	uint8_t addr[16];
	int family = AF_INET6;
	size_t len = find_address(s, family, text, addr);

	if (!len) {
		family = AF_INET;
		len = find_address(s, family, text, addr);
	}
	if (!len)
		return 0;
	if (is_nowhere(family, addr) || (a->level != ANONYMIZE_STRICT && is_private(family, addr)))
		g_string_append_len(out, s, (gssize)len);
	else
		g_string_append(
			out, stand_in(a->addresses, family == AF_INET ? "ip4" : "ip6", text));
	return len;
}

/* "https://NAME", "NAME:51820" with a dot in it, "stun:NAME". */
static bool is_name_here(const char *begin, const char *s, size_t len)
{
	bool dotted = memchr(s, '.', len) != NULL;

	if (s - begin >= 3 && !memcmp(s - 3, "://", 3))
		return true;
	if (s - begin >= 5 && (!memcmp(s - 5, "stun:", 5) || !memcmp(s - 5, "turn:", 5)))
		return true;
	return dotted && s[len] == ':' && g_ascii_isdigit(s[len + 1]) && strcspn(s, LETTERS) < len;
}

static size_t take_word(struct anonymizer *a, GString *out, const char *begin, const char *s)
{
	size_t len = strspn(s, LETTERS DIGITS "._-");
	g_autofree char *small = NULL;
	const char *known;

	while (len && strchr("._-", s[len - 1])) /* the end of a sentence */
		len--;
	small = g_ascii_strdown(s, (gssize)len);
	known = g_hash_table_lookup(a->names, small);
	if (!known && len && is_name_here(begin, s, len)) {
		anonymizer_learn(a, small);
		known = g_hash_table_lookup(a->names, small);
	}
	if (known)
		g_string_append(out, known);
	else
		g_string_append_len(out, s, (gssize)len);
	return len;
}

char *anonymizer_text(struct anonymizer *a, const char *text)
{
	GString *out = g_string_new(NULL);
	const char *s = text;

	if (a->level == ANONYMIZE_OFF)
		s += strlen(g_string_append(out, text)->str);
	while (*s) {
		size_t len = take_key(a, out, s);

		if (!len)
			len = take_address(a, out, s);
		if (!len)
			len = take_word(a, out, text, s);
		if (!len)
			g_string_append_c(out, s[len++]);
		s += len;
	}
	return g_string_free(out, FALSE);
}

void anonymizer_json(struct anonymizer *a, json_t *value)
{
	const char *key;
	json_t *item;
	size_t i;

	if (json_is_string(value)) {
		g_autofree char *text = anonymizer_text(a, json_string_value(value));

		json_string_set(value, text);
		return;
	}
	json_object_foreach(value, key, item) anonymizer_json(a, item);
	json_array_foreach(value, i, item) anonymizer_json(a, item);
}

void anonymizer_members(struct anonymizer *a, json_t *object)
{
	json_t *named = json_object(), *item;
	const char *name;

	json_object_foreach(object, name, item)
	{
		g_autofree char *text = NULL;

		anonymizer_learn(a, name);
		text = anonymizer_text(a, name);
		json_object_set(named, text, item);
	}
	json_object_clear(object);
	json_object_update(object, named);
	json_decref(named);
}

/* -- secrets ---------------------------------------------------------------------------------- */

/* A file's name is none. */
static bool is_secret(const char *key, const json_t *value)
{
	static const char *const words[] = { "secret", "password", "token", "private", "psk",
		"setup", "preshared" };
	const char *text = json_string_value(value);
	struct wg_key parsed;
	bool is_key = text && key_parse(text, strlen(text), &parsed) == 0;

	key_wipe(&parsed);
	if (is_key)
		return strcmp(key, "public_key") != 0;
	if (!text || g_str_has_suffix(key, "_file"))
		return false;
	for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
		if (strstr(key, words[i]))
			return true;
	return false;
}

void anonymize_secrets(json_t *value)
{
	const char *key;
	json_t *item;
	size_t i;

	json_object_foreach(value, key, item)
	{
		if (is_secret(key, item))
			json_string_set(item, "(removed)");
		else
			anonymize_secrets(item);
	}
	json_array_foreach(value, i, item)
	{
		if (is_secret("", item))
			json_string_set(item, "(removed)");
		else
			anonymize_secrets(item);
	}
}
