/* tests/fuzz/fuzz_control.c - any bytes as a request: a message or words that fit their places. */
#include <glib.h>
#include <string.h>

#include "agent/control.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_word(const char *word, size_t size)
{
	g_assert_nonnull(memchr(word, '\0', size));
	g_assert_true(g_utf8_validate(word, -1, NULL));
	for (; *word; word++)
		g_assert_true((unsigned char)*word >= ' ');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct control_request request;
	char error[64] = "";

	if (control_parse((const char *)data, size, &request, error, sizeof(error)) < 0) {
		g_assert_true(*error);
		return 0;
	}
	g_assert_true(*request.command && !request.client && !request.may_change);
	check_word(request.command, sizeof(request.command));
	check_word(request.level, sizeof(request.level));
	check_word(request.peer, sizeof(request.peer));
	check_word(request.check, sizeof(request.check));
	control_is_reading(&request);
	return 0;
}
