/* tests/fuzz/fuzz_control.c - any bytes as a request: a message or words that fit their places. */
/* covers: agent/control_request.c */
#include <glib.h>
#include <jansson.h>
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

/* The bytes as a caller's ids: root may always, others only what they share with us. */
static void check_access(const uint8_t *data, size_t size)
{
	struct {
		gid_t own, group, uid, gid, groups[4];
	} ids = { 0 };
	struct control_caller caller = { .groups = ids.groups, .n_groups = 4 };
	enum control_access access;
	bool shares = false;

	memcpy(&ids, data, MIN(size, sizeof(ids)));
	caller.uid = ids.uid;
	caller.gid = ids.gid;
	for (size_t i = 0; i < caller.n_groups; i++)
		shares |= ids.groups[i] == ids.group;
	access = control_access(&caller, ids.own, ids.group);
	g_assert_true((access == CONTROL_ACCESS_CHANGE) == (!ids.uid || ids.uid == ids.own));
	if (access == CONTROL_ACCESS_READ)
		g_assert_true(ids.group != (gid_t)-1 && (shares || ids.gid == ids.group));
}

/* A part of the line, and an object to others as well. */
static void check_profile(const struct control_request *request, const char *line, size_t size)
{
	json_t *json;

	if (!request->profile)
		return;
	g_assert_true(
		request->profile >= line && request->profile + request->profile_len <= line + size);
	json = json_loadb(request->profile, request->profile_len, 0, NULL);
	g_assert_true(json_is_object(json));
	json_decref(json);
}

static void check_reading(const struct control_request *request)
{
	static const char *const changing[] = { "up", "down", "wake", "idle", "pin", "unpin",
		"enroll", "deregister", "import", "export", "set-psk", "clear-psk" };
	bool reading = control_is_reading(request);

	for (size_t i = 0; i < G_N_ELEMENTS(changing); i++)
		g_assert_false(reading && !strcmp(request->command, changing[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct control_request request;
	char error[64] = "";

	check_access(data, size);
	if (control_parse((const char *)data, size, &request, error, sizeof(error)) < 0) {
		g_assert_true(*error);
		return 0;
	}
	g_assert_true(*request.command && !request.client && !request.may_change);
	check_word(request.command, sizeof(request.command));
	check_word(request.level, sizeof(request.level));
	check_word(request.peer, sizeof(request.peer));
	check_word(request.check, sizeof(request.check));
	check_word(request.url, sizeof(request.url));
	check_word(request.setup_key, sizeof(request.setup_key));
	check_word(request.hostname, sizeof(request.hostname));
	check_profile(&request, (const char *)data, size);
	check_reading(&request);
	g_assert_false(control_is_reading(&request) && control_is_secret(&request));
	return 0;
}
