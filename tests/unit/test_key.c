/* tests/unit/test_key.c - keys: text form, generation, files. */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/key.h"

/* RFC 7748, section 6.1. */
static const struct wg_key ALICE_PRIVATE = { { 0x77, 0x07, 0x6d, 0x0a, 0x73, 0x18, 0xa5, 0x7d, 0x3c,
	0x16, 0xc1, 0x72, 0x51, 0xb2, 0x66, 0x45, 0xdf, 0x4c, 0x2f, 0x87, 0xeb, 0xc0, 0x99, 0x2a,
	0xb1, 0x77, 0xfb, 0xa5, 0x1d, 0xb9, 0x2c, 0x2a } };
static const char ALICE_PUBLIC[] = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";
static const char ZERO[] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

static void test_known(void)
{
	struct wg_key public_key, parsed;
	char buf[KEY_STRLEN];

	key_public_from_private(&ALICE_PRIVATE, &public_key);
	g_assert_cmpstr(key_format(&public_key, buf), ==, ALICE_PUBLIC);
	g_assert_cmpint(key_parse(ALICE_PUBLIC, KEY_TEXT_LEN, &parsed), ==, 0);
	g_assert_cmpmem(&parsed, sizeof(parsed), &public_key, sizeof(public_key));
}

static void test_round_trip(void)
{
	for (int i = 0; i < 20000; i++) {
		struct wg_key key, parsed;
		char buf[KEY_STRLEN];
		g_autofree char *theirs = NULL;

		for (size_t j = 0; j < sizeof(key.b); j++)
			key.b[j] = (uint8_t)g_test_rand_int();
		theirs = g_base64_encode(key.b, sizeof(key.b));
		g_assert_cmpstr(key_format(&key, buf), ==, theirs);
		g_assert_cmpint(key_parse(buf, KEY_TEXT_LEN, &parsed), ==, 0);
		g_assert_cmpmem(&parsed, sizeof(parsed), &key, sizeof(key));
	}
}

/* Every byte in every place: accepted exactly when base64 and canonical. */
static void test_every_character(void)
{
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char text[KEY_STRLEN], again[KEY_STRLEN];
	struct wg_key key;

	for (size_t at = 0; at < KEY_TEXT_LEN; at++) {
		for (int c = 0; c < 256; c++) {
			const char *found = memchr(alphabet, c, 64);
			bool good = found;

			if (at == KEY_TEXT_LEN - 2)
				good = found && (found - alphabet) % 4 == 0;
			if (at == KEY_TEXT_LEN - 1)
				good = c == '=';
			memcpy(text, ALICE_PUBLIC, sizeof(text));
			text[at] = (char)c;
			g_assert_cmpint(
				key_parse(text, KEY_TEXT_LEN, &key), ==, good ? 0 : -EINVAL);
			if (good)
				g_assert_cmpstr(key_format(&key, again), ==, text);
		}
	}
}

static void test_bad(void)
{
	static const char *const cases[] = { "", "A", "AAAA",
		"hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo",
		"hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo==",
		" hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo",
		"hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTm==",
		"hSDwCYkwp1R0i33ctD73Wg2_Og0mOBr066SpjqqbTmo=",
		"hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmp=",
		"85210f00893093a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e" };
	const struct wg_key untouched = { { 7, 7 } };
	struct wg_key key = untouched;

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_assert_cmpint(key_parse(cases[i], strlen(cases[i]), &key), ==, -EINVAL);
		g_assert_cmpmem(&key, sizeof(key), &untouched, sizeof(untouched));
	}
}

/* Any pile of bytes: what is accepted is what is formatted. */
static void test_random_text(void)
{
	for (int i = 0; i < 50000; i++) {
		char text[KEY_STRLEN], again[KEY_STRLEN];
		struct wg_key key;

		memcpy(text, ALICE_PUBLIC, sizeof(text));
		for (int j = g_test_rand_int_range(1, 4); j > 0; j--)
			text[g_test_rand_int_range(0, KEY_TEXT_LEN)] = (char)g_test_rand_int_range(
				1, 256);
		if (key_parse(text, KEY_TEXT_LEN, &key) == 0)
			g_assert_cmpstr(key_format(&key, again), ==, text);
	}
}

static void test_generate(void)
{
	struct wg_key a, b;

	for (int i = 0; i < 200; i++) {
		key_generate_private(&a);
		key_generate_private(&b);
		g_assert_cmpint(a.b[0] & 7, ==, 0);
		g_assert_cmpint(a.b[31] & 0xc0, ==, 0x40);
		g_assert_false(key_is_same(&a, &b));
	}
}

static void test_compare(void)
{
	struct wg_key zero = { { 0 } }, one;

	g_assert_true(key_is_zero(&zero));
	g_assert_true(key_is_same(&zero, &zero));
	for (size_t bit = 0; bit < 256; bit++) {
		one = zero;
		one.b[bit / 8] = (uint8_t)(1 << bit % 8);
		g_assert_false(key_is_zero(&one));
		g_assert_false(key_is_same(&one, &zero));
		g_assert_true(key_is_same(&one, &one));
		key_wipe(&one);
		g_assert_true(key_is_zero(&one));
	}
	g_assert_cmpint(key_parse(ZERO, KEY_TEXT_LEN, &one), ==, 0);
	g_assert_true(key_is_zero(&one));
}

static void test_file(void)
{
	static const struct {
		const char *before, *after;
		mode_t mode;
		int r;
	} cases[] = {
		{ "", "\n", 0600, 0 },
		{ "", "", 0400, 0 },
		{ "", "\n", 0640, 0 },
		{ " \t\r\n", " \t\r\n\n", 0600, 0 },
		{ "", "\n", 0644, -EPERM },
		{ "", "\n", 0660, -EPERM },
		{ "", "\n", 0602, -EPERM },
		{ "", "x", 0600, -EINVAL },
		{ "PrivateKey = ", "\n", 0600, -EINVAL },
		{ "", "\nhSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=\n", 0600, -EINVAL },
	};
	g_autofree char *dir = g_dir_make_tmp("test_key.XXXXXX", NULL);
	g_autofree char *path = g_build_filename(dir, "key", NULL);
	struct wg_key key, want;

	g_assert_cmpint(key_parse(ALICE_PUBLIC, KEY_TEXT_LEN, &want), ==, 0);
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *text = g_strconcat(
			cases[i].before, ALICE_PUBLIC, cases[i].after, NULL);

		g_assert_true(g_file_set_contents(path, text, -1, NULL));
		g_assert_no_errno(chmod(path, cases[i].mode));
		g_assert_cmpint(key_read_file(path, &key), ==, cases[i].r);
		if (cases[i].r == 0)
			g_assert_true(key_is_same(&key, &want));
	}
	g_unlink(path);
	g_rmdir(dir);
}

static void test_file_odd(void)
{
	g_autofree char *dir = g_dir_make_tmp("test_key.XXXXXX", NULL);
	g_autofree char *path = g_build_filename(dir, "key", NULL);
	g_autofree char *large = g_strnfill(100000, ' ');
	struct wg_key key;

	g_assert_cmpint(key_read_file(path, &key), ==, -ENOENT);
	g_assert_true(g_file_set_contents(path, "", 0, NULL));
	g_assert_no_errno(chmod(path, 0600));
	g_assert_cmpint(key_read_file(path, &key), ==, -EINVAL);
	g_assert_true(g_file_set_contents(path, " \n", 2, NULL));
	g_assert_no_errno(chmod(path, 0600));
	g_assert_cmpint(key_read_file(path, &key), ==, -EINVAL);
	g_assert_true(g_file_set_contents(path, large, -1, NULL));
	g_assert_no_errno(chmod(path, 0600));
	g_assert_cmpint(key_read_file(path, &key), ==, -EINVAL);
	g_unlink(path);
	g_assert_no_errno(symlink("/dev/zero", path));
	g_assert_cmpint(key_read_file(path, &key), ==, -ELOOP);
	g_unlink(path);
	g_rmdir(dir);
}

/* Another key, purpose or text is another hash; expected from Python's hashlib.blake2b. */
static void test_hash(void)
{
	struct wg_key key, hash, other, want;

	g_assert_cmpint(key_parse(ALICE_PUBLIC, KEY_TEXT_LEN, &key), ==, 0);
	g_assert_cmpint(
		key_parse("cnmVEyv8GAWiDkM4Mlu1hcv60qMe4lZQP+KKWMxuLRM=", KEY_TEXT_LEN, &want), ==,
		0);
	key_mac(&key, "purpose", "text", 4, &hash);
	g_assert_true(key_is_same(&hash, &want));
	key_mac(&key, "purpos", "e\0text", 6, &other);
	g_assert_false(key_is_same(&hash, &other));
	key_mac(&key, "purpose", "tex", 3, &other);
	g_assert_false(key_is_same(&hash, &other));
	key_mac(&want, "purpose", "text", 4, &other);
	g_assert_false(key_is_same(&hash, &other));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/key/known", test_known);
	g_test_add_func("/key/round-trip", test_round_trip);
	g_test_add_func("/key/every-character", test_every_character);
	g_test_add_func("/key/bad", test_bad);
	g_test_add_func("/key/random-text", test_random_text);
	g_test_add_func("/key/generate", test_generate);
	g_test_add_func("/key/compare", test_compare);
	g_test_add_func("/key/hash", test_hash);
	g_test_add_func("/key/file", test_file);
	g_test_add_func("/key/file-odd", test_file_odd);
	return g_test_run();
}
