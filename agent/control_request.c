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

static void read_until(struct jread *r, void *into)
{
	static const char *const names[] = {
		[CONTROL_UNTIL_CONTROL] = "control",
		[CONTROL_UNTIL_READY] = "ready",
	};
	struct control_request *request = into;
	struct slice s = jread_string(r);

	for (size_t i = CONTROL_UNTIL_CONTROL; i < G_N_ELEMENTS(names); i++)
		if (s.len == strlen(names[i]) && !memcmp(s.s, names[i], s.len))
			request->until = (enum control_until)i;
	if (!request->until)
		jread_fail(r, "control or ready");
}

static void read_url(struct jread *r, void *into)
{
	struct control_request *request = into;

	read_text(r, request->url, sizeof(request->url));
}

static void read_setup_key(struct jread *r, void *into)
{
	struct slice s = jread_string(r);

	if (!r->error && uuid_parse(s.s, s.len, ((struct control_request *)into)->setup_key) < 0)
		jread_fail(r, "not a setup key");
}

static void read_psk(struct jread *r, void *into)
{
	struct slice s = jread_string(r);

	if (!r->error && key_parse(s.s, s.len, &((struct control_request *)into)->psk) < 0)
		jread_fail(r, "not a key");
}

static void read_hostname(struct jread *r, void *into)
{
	struct control_request *request = into;
	struct slice s = jread_string(r);

	if (r->error)
		return;
	if (!text_is_hostname(s.s, s.len))
		return jread_fail(r, "not a host name");
	memcpy(request->hostname, s.s, s.len);
}

static void read_force(struct jread *r, void *into)
{
	((struct control_request *)into)->force = jread_bool(r);
}

static void read_purge(struct jread *r, void *into)
{
	((struct control_request *)into)->purge = jread_bool(r);
}

/* Well-formed, but what it says is for others to judge. */
static void read_profile(struct jread *r, void *into)
{
	struct control_request *request = into;
	struct slice s = { 0 };

	if (jread_peek(r) == '{')
		s = jread_skip(r);
	else
		jread_fail(r, "an object is wanted");
	request->profile = s.s;
	request->profile_len = s.len;
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
	{ "until", read_until, false },
	{ "url", read_url, false },
	{ "setup_key", read_setup_key, false },
	{ "psk", read_psk, false },
	{ "hostname", read_hostname, false },
	{ "force", read_force, false },
	{ "purge", read_purge, false },
	{ "profile", read_profile, false },
};

int control_parse(
	const char *line, size_t len, struct control_request *ret, char *error, size_t error_len)
{
	struct control_request request = { 0 };
	struct jread r;

	jread_init(&r, line, len);
	jread_object(&r, fields, G_N_ELEMENTS(fields), &request);
	jread_finish(&r);
	if (r.error)
		g_strlcpy(error, r.message, error_len);
	else
		*ret = request;
	/* A secret may have been in either. */
	explicit_bzero(r.scratch, sizeof(r.scratch));
	explicit_bzero(&request, sizeof(request));
	return r.error;
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
	static const char *const reading[] = { "status", "peers", "monitor", "ping", "version",
		"runtime", "recent", "samples" };

	for (size_t i = 0; i < G_N_ELEMENTS(reading); i++)
		if (!strcmp(request->command, reading[i]))
			return true;
	return !strcmp(request->command, "log-level") && !request->level[0];
}

bool control_is_secret(const struct control_request *request)
{
	return !strcmp(request->command, "export");
}
