/* tests/fuzz/fuzz_addr.c - lines of text as prefixes and endpoints, and the prefixes as a set. */
/* covers: agent/base/addr.c */
#include <arpa/inet.h>
#include <glib.h>
#include <string.h>

#include "agent/base/addr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LINES_MAX = 64 };

/* Addresses alone are those that libc knows. */
static void check_with_libc(const char *text, size_t len, bool is_good)
{
	g_autofree char *copy = g_strndup(text, len);
	uint8_t v4[4];

	if (!memchr(text, '\0', len) && !strpbrk(copy, "/:"))
		g_assert_true(is_good == (inet_pton(AF_INET, copy, v4) == 1));
}

static bool try_prefix(const char *text, size_t len, struct prefix *ret)
{
	bool is_good = prefix_parse(text, len, ret) == 0;
	char buf[PREFIX_STRLEN];
	struct prefix again;

	check_with_libc(text, len, is_good);
	if (!is_good)
		return false;
	g_assert_true(ret->bits <= prefix_width(ret));
	prefix_format(ret, buf);
	g_assert_cmpint(prefix_parse(buf, strlen(buf), &again), ==, 0);
	g_assert_true(prefix_is_same(ret, &again) && prefix_compare(ret, &again) == 0);
	g_assert_true(prefix_contains(ret, &again));
	g_assert_true(prefix_is_host(ret) == (ret->bits == prefix_width(ret)));
	return true;
}

static void try_endpoint(const char *text, size_t len)
{
	struct endpoint e = { 0 }, again;
	struct sockaddr_storage ss = { 0 };
	char buf[ENDPOINT_STRLEN];
	socklen_t sa_len;

	if (endpoint_parse(text, len, &e) < 0) {
		g_assert_cmpstr(endpoint_format(&e, buf), ==, "");
		g_assert_cmpint(endpoint_to_sockaddr(&e, &ss), ==, 0);
		return;
	}
	endpoint_format(&e, buf);
	g_assert_cmpint(endpoint_parse(buf, strlen(buf), &again), ==, 0);
	g_assert_true(endpoint_is_same(&e, &again));
	sa_len = endpoint_to_sockaddr(&e, &ss);
	g_assert_cmpint(endpoint_from_sockaddr((struct sockaddr *)&ss, sa_len, &again), ==, 0);
	g_assert_true(endpoint_is_same(&e, &again));
}

/* The bytes as they are, as a socket address. */
static void try_sockaddr(const char *text, size_t len)
{
	struct sockaddr_storage ss = { 0 };
	char buf[ENDPOINT_STRLEN];
	struct endpoint e;

	memcpy(&ss, text, MIN(len, sizeof(ss)));
	for (int i = 0; i < 2; i++) {
		ss.ss_family = i ? AF_INET : AF_INET6;
		if (endpoint_from_sockaddr((struct sockaddr *)&ss, len, &e) == 0)
			g_assert_cmpuint(strlen(endpoint_format(&e, buf)), <, sizeof(buf));
	}
}

static void try_aggregate(const struct prefix *set, size_t n)
{
	struct prefix left[LINES_MAX];
	size_t n_left;

	memcpy(left, set, n * sizeof(*set));
	n_left = prefix_aggregate(left, n);
	g_assert_cmpuint(n_left, <=, n);
	for (size_t i = 0; i < n; i++) {
		size_t j = 0;

		while (j < n_left && !prefix_contains(&left[j], &set[i]))
			j++;
		g_assert_cmpuint(j, <, n_left);
	}
	for (size_t i = 1; i < n_left; i++) {
		g_assert_cmpint(prefix_compare(&left[i - 1], &left[i]), <, 0);
		g_assert_false(prefix_contains(&left[i - 1], &left[i]));
	}
	g_assert_cmpuint(prefix_aggregate(left, n_left), ==, n_left);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data, *end = text + size;
	struct prefix set[LINES_MAX];
	size_t n = 0;

	for (int lines = 0; text < end && lines < LINES_MAX; lines++) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		size_t len = (size_t)((newline ? newline : end) - text);

		n += try_prefix(text, len, &set[n]);
		try_endpoint(text, len);
		try_sockaddr(text, len);
		text += len + 1;
	}
	try_aggregate(set, n);
	return 0;
}
