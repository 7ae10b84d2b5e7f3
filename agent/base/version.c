/* agent/base/version.c - semantic versions. */
#include "agent/base/version.h"

#include <errno.h>
#include <glib.h>
#include <stdbool.h>
#include <string.h>

enum { DIGITS_MAX = 9 };

static bool read_number(const char **at, const char *end, uint32_t *ret)
{
	const char *s = *at;

	for (*ret = 0; s < end && g_ascii_isdigit(*s); s++) {
		if (s - *at == DIGITS_MAX)
			return false;
		*ret = *ret * 10 + (uint32_t)(*s - '0');
	}
	if (s == *at)
		return false;
	*at = s;
	return true;
}

/* Identifiers with dots between; how long they are, 0: something else. */
static size_t measure_identifiers(const char *s, const char *end)
{
	const char *at = s;

	for (; at < end && *at != '+'; at++) {
		bool dot = *at == '.';

		if (!g_ascii_isalnum(*at) && *at != '-' && !dot)
			return 0;
		if (dot && (at == s || at[-1] == '.'))
			return 0;
	}
	return at > s && at[-1] != '.' ? (size_t)(at - s) : 0;
}

int version_parse(const char *s, size_t len, struct version *ret)
{
	const char *end = s + len;
	struct version v = { 0 };
	size_t n = 0;

	if (s < end && *s == 'v')
		s++;
	for (size_t i = 0; i < VERSION_PARTS; i++) {
		if (!read_number(&s, end, &v.parts[i]))
			return -EINVAL;
		if (s == end || *s != '.' || i == VERSION_PARTS - 1)
			break;
		s++;
	}
	if (s < end && *s == '-') {
		n = measure_identifiers(++s, end);
		if (!n || n >= sizeof(v.pre))
			return -EINVAL;
		memcpy(v.pre, s, n);
		s += n;
	}
	if (s < end && *s == '+') {
		n = measure_identifiers(++s, end);
		if (!n)
			return -EINVAL;
		s += n;
	}
	if (s != end)
		return -EINVAL;
	*ret = v;
	return 0;
}

static bool is_number(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!g_ascii_isdigit(s[i]))
			return false;
	return true;
}

/* Numbers by their value and before words, words by their letters. */
static int compare_identifiers(const char *a, size_t n, const char *b, size_t m)
{
	bool number = is_number(a, n);
	int r;

	if (number != is_number(b, m))
		return number ? -1 : 1;
	for (; number && n > 1 && *a == '0'; n--)
		a++;
	for (; number && m > 1 && *b == '0'; m--)
		b++;
	if (number && n != m)
		return n < m ? -1 : 1;
	r = memcmp(a, b, MIN(n, m));
	return r || n == m ? r : n < m ? -1 : 1;
}

/* A release is newer than what came before it; of the same beginnings the longer one is newer. */
static int compare_pre(const char *a, const char *b)
{
	if (!*a || !*b)
		return *a ? -1 : *b ? 1 : 0;
	while (*a && *b) {
		size_t n = strcspn(a, "."), m = strcspn(b, ".");
		int r = compare_identifiers(a, n, b, m);

		if (r)
			return r;
		a += n + (a[n] == '.');
		b += m + (b[m] == '.');
	}
	return *a ? 1 : *b ? -1 : 0;
}

int version_compare(const struct version *a, const struct version *b)
{
	for (size_t i = 0; i < VERSION_PARTS; i++)
		if (a->parts[i] != b->parts[i])
			return a->parts[i] < b->parts[i] ? -1 : 1;
	return compare_pre(a->pre, b->pre);
}
