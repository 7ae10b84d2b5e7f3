/* tests/fuzz/fuzz_profile.c - any bytes as a profile: a message, or a profile that survives the way back. */
/* covers: mgmt/profile.c mgmt/profile_read.c mgmt/profile_write.c */
#include <glib.h>
#include <jansson.h>
#include <string.h>

#include "mgmt/profile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What we write is JSON to others, in both forms, and means the same to us. */
static void check_way_back(const struct profile *p)
{
	GString *text = profile_format(p), *pretty = profile_indent(text->str, text->len), *again;
	json_t *one = json_loads(text->str, JSON_REJECT_DUPLICATES, NULL);
	json_t *two = json_loads(pretty->str, JSON_REJECT_DUPLICATES, NULL);
	char error[PROFILE_ERROR_MAX];
	struct profile q;

	g_assert_true(one && two && json_equal(one, two));
	g_assert_null(strchr(text->str, '\n'));
	/* A short list of long words with many escapes may have become too large. */
	if (profile_parse(pretty->str, pretty->len, &q, error) == 0) {
		again = profile_format(&q);
		g_assert_cmpstr(again->str, ==, text->str);
		profile_text_free(again);
		profile_done(&q);
	} else {
		g_assert_cmpuint(pretty->len, >, PROFILE_SIZE_MAX);
	}
	json_decref(one);
	json_decref(two);
	profile_text_free(text);
	profile_text_free(pretty);
}

static void check_judgement(const struct profile *p)
{
	g_auto(GStrv) imported = profile_imported(p), ignored = profile_ignored(p);

	g_assert_cmpstr(imported[0], ==, "PrivateKey");
	g_assert_cmpuint(g_strv_length(imported), <=, 8);
	for (char **line = ignored; *line; line++)
		g_assert_nonnull(strstr(*line, "; instead: "));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char error[PROFILE_ERROR_MAX] = "";
	struct profile p;

	profile_text_free(profile_indent((const char *)data, size));
	if (profile_parse((const char *)data, size, &p, error) < 0) {
		g_assert_true(*error && !strchr(error, '\n'));
		return 0;
	}
	g_assert_false(key_is_zero(&p.private_key));
	g_assert_true(strlen(p.interface) < IFNAMSIZ && strlen(p.management_url) < 256);
	check_judgement(&p);
	check_way_back(&p);
	profile_done(&p);
	return 0;
}
