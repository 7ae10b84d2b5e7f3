/* agent/push_config.c - reads the configuration that a server of metrics publishes. */
#include "agent/push_config.h"

#include <errno.h>
#include <string.h>

enum { MEMBERS_MAX = 64 };

struct reading {
	struct push_config config;
	unsigned seen; /* bits of `members` */
};

static void read_server_url(struct jread *r, struct push_config *c)
{
	struct slice s = jread_string(r);

	if (r->error)
		return;
	if (!text_is_http_url(s.s, s.len))
		return jread_fail(r, "not an absolute http or https URL");
	memcpy(c->server_url, s.s, s.len);
}

static void read_version(struct jread *r, struct version *ret)
{
	struct slice s = jread_string(r);

	if (!r->error && version_parse(s.s, s.len, ret) < 0)
		jread_fail(r, "not a version");
}

static void read_since(struct jread *r, struct push_config *c)
{
	read_version(r, &c->since);
}

static void read_until(struct jread *r, struct push_config *c)
{
	read_version(r, &c->until);
}

static void read_period(struct jread *r, struct push_config *c)
{
	c->period_min = (uint32_t)jread_int(r, 1, PUSH_PERIOD_MAX_MIN);
}

static const struct {
	const char *key;
	void (*read)(struct jread *r, struct push_config *c);
} members[] = {
	{ "server_url", read_server_url },
	{ "version-since", read_since },
	{ "version-until", read_until },
	{ "period_minutes", read_period },
};
enum { N_MEMBERS = sizeof(members) / sizeof(members[0]) };

static void read_member(struct jread *r, struct slice key, void *into)
{
	struct reading *reading = into;

	for (unsigned i = 0; i < N_MEMBERS; i++) {
		if (key.len != strlen(members[i].key) || memcmp(key.s, members[i].key, key.len))
			continue;
		if (reading->seen & 1U << i)
			return jread_fail(r, "it is there twice");
		reading->seen |= 1U << i;
		return members[i].read(r, &reading->config);
	}
	jread_skip(r);
}

int push_config_parse(
	const char *text, size_t len, struct push_config *ret, char error[static PUSH_ERROR_MAX])
{
	struct reading reading = { 0 };
	struct jread r;

	jread_init(&r, text, len);
	jread_members(&r, MEMBERS_MAX, read_member, &reading);
	for (unsigned i = 0; i < N_MEMBERS; i++)
		if (!(reading.seen & 1U << i))
			jread_fail(&r, "\"%s\" is missing", members[i].key);
	if (jread_finish(&r) < 0) {
		memcpy(error, r.message, sizeof(r.message));
		return -EINVAL;
	}
	*ret = reading.config;
	return 0;
}

bool push_config_allows(const struct push_config *config, const struct version *own)
{
	return version_compare(&config->since, own) <= 0 &&
		version_compare(own, &config->until) < 0;
}
