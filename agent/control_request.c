/* agent/control_request.c - what a caller of the control socket asks, and whether it may. Pure. */
#include <errno.h>
#include <string.h>

#include "agent/base/jread.h"
#include "agent/control.h"

/* A word goes into messages and comparisons: printable, and no longer than its place. */
static void read_text(struct jread *r, char *ret, size_t size)
{
	struct slice s = jread_string(r);

	if (r->error)
		return;
	if (s.len == 0 || s.len >= size)
		return jread_fail(r, "1 to %zu bytes", size - 1);
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.s[i] < ' ' || s.s[i] == 0x7f)
			return jread_fail(r, "control characters");
	memcpy(ret, s.s, s.len);
	ret[s.len] = '\0';
}

static void read_version(struct jread *r, void *into)
{
	if (jread_int(r, 1, INT32_MAX) != CONTROL_VERSION && !r->error)
		jread_fail(r, "only version %d is spoken here", CONTROL_VERSION);
}

static void read_command(struct jread *r, void *into)
{
	struct control_request *request = into;

	read_text(r, request->command, sizeof(request->command));
}

static void read_level(struct jread *r, void *into)
{
	struct control_request *request = into;

	read_text(r, request->level, sizeof(request->level));
}

static void read_peer(struct jread *r, void *into)
{
	struct control_request *request = into;

	read_text(r, request->peer, sizeof(request->peer));
}

static void read_check(struct jread *r, void *into)
{
	struct control_request *request = into;

	read_text(r, request->check, sizeof(request->check));
}

static void read_mtu(struct jread *r, void *into)
{
	((struct control_request *)into)->mtu = jread_int(r, 0, UINT16_MAX);
}

static void read_detail(struct jread *r, void *into)
{
	((struct control_request *)into)->detail = jread_bool(r);
}

static void read_wait(struct jread *r, void *into)
{
	((struct control_request *)into)->wait = jread_bool(r);
}

static const struct jread_field fields[] = {
	{ "v", read_version, true },
	{ "command", read_command, true },
	{ "level", read_level, false },
	{ "peer", read_peer, false },
	{ "check", read_check, false },
	{ "mtu", read_mtu, false },
	{ "detail", read_detail, false },
	{ "wait", read_wait, false },
};

int control_parse(
	const char *line, size_t len, struct control_request *ret, char *error, size_t error_len)
{
	struct control_request request = { 0 };
	struct jread r;

	jread_init(&r, line, len);
	jread_object(&r, fields, G_N_ELEMENTS(fields), &request);
	if (jread_finish(&r)) {
		g_strlcpy(error, r.message, error_len);
		return -EINVAL;
	}
	*ret = request;
	return 0;
}

enum control_access control_access(const struct control_caller *caller, uid_t own, gid_t group)
{
	if (caller->uid == 0 || caller->uid == own)
		return CONTROL_ACCESS_CHANGE;
	if (group == (gid_t)-1)
		return CONTROL_ACCESS_NONE;
	if (caller->gid == group)
		return CONTROL_ACCESS_READ;
	for (size_t i = 0; i < caller->n_groups; i++)
		if (caller->groups[i] == group)
			return CONTROL_ACCESS_READ;
	return CONTROL_ACCESS_NONE;
}

bool control_is_reading(const struct control_request *request)
{
	static const char *const reading[] = { "status", "peers", "monitor", "ping", "version" };

	for (size_t i = 0; i < G_N_ELEMENTS(reading); i++)
		if (!strcmp(request->command, reading[i]))
			return true;
	return !strcmp(request->command, "log-level") && !request->level[0];
}
