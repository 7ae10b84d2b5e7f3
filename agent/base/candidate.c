/* agent/base/candidate.c - candidates from lines of text, and back (the grammar of RFC 8839). */
#include "agent/base/candidate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "agent/base/jread.h"

enum { COMPONENT_MAX = 99999 };

static const char *const types[] = { [CANDIDATE_HOST] = "host",
	[CANDIDATE_SRFLX] = "srflx",
	[CANDIDATE_PRFLX] = "prflx",
	[CANDIDATE_RELAY] = "relay" };

const char *candidate_type_name(enum candidate_type type)
{
	return types[type];
}

/* The words of a line, exactly one space between two. */
struct words {
	const char *at, *end; /* at NULL: that was the last one */
};

static bool next_word(struct words *w, struct slice *ret)
{
	const char *space;

	if (!w->at)
		return false;
	space = memchr(w->at, ' ', (size_t)(w->end - w->at));
	*ret = (struct slice){ w->at, (size_t)((space ? space : w->end) - w->at) };
	w->at = space ? space + 1 : NULL;
	return true;
}

static bool is_word(struct slice s, const char *text)
{
	return s.len == strlen(text) && !memcmp(s.s, text, s.len);
}

static bool ends_in(struct slice s, const char *text)
{
	size_t len = strlen(text);

	return s.len >= len && !memcmp(s.s + s.len - len, text, len);
}

/* Visible ASCII of at most `max` characters. */
static int copy_word(struct slice s, char *ret, size_t max)
{
	if (s.len > max)
		return -EINVAL;
	for (size_t i = 0; i < s.len; i++)
		if (!g_ascii_isgraph(s.s[i]))
			return -EINVAL;
	memcpy(ret, s.s, s.len);
	ret[s.len] = '\0';
	return 0;
}

static int take_number(struct words *w, uint64_t min, uint64_t max, uint64_t *ret)
{
	uint64_t value = 0;
	struct slice s;

	if (!next_word(w, &s) || !s.len || s.len > 10)
		return -EINVAL;
	for (size_t i = 0; i < s.len; i++) {
		if (!g_ascii_isdigit(s.s[i]))
			return -EINVAL;
		value = value * 10 + (uint64_t)(s.s[i] - '0');
	}
	*ret = value;
	return value >= min && value <= max ? 0 : -EINVAL;
}

/* IPv6 may have a zone, which means nothing here. */
static int read_address(struct slice s, struct endpoint *ret)
{
	const char *zone = memchr(s.s, '%', s.len);
	struct prefix p;

	if (zone)
		s.len = (size_t)(zone - s.s);
	if (memchr(s.s, '/', s.len) || prefix_parse(s.s, s.len, &p) < 0)
		return -EINVAL;
	*ret = (struct endpoint){ .family = p.family };
	memcpy(ret->addr, p.addr, sizeof(ret->addr));
	return 0;
}

static int take_foundation(struct words *w, struct candidate *c)
{
	struct slice s;

	if (!next_word(w, &s))
		return -EINVAL;
	for (size_t i = 0; i < s.len; i++)
		if (!g_ascii_isalnum(s.s[i]) && s.s[i] != '+' && s.s[i] != '/')
			return -EINVAL;
	return copy_word(s, c->foundation, CANDIDATE_FOUNDATION_MAX);
}

/* 1: TCP, which is of no use. */
static int take_transport(struct words *w)
{
	struct slice s;

	if (!next_word(w, &s) || s.len < 3)
		return -EINVAL;
	if (!g_ascii_strncasecmp(s.s, "udp", 3))
		return 0;
	return g_ascii_strncasecmp(s.s, "tcp", 3) ? -EINVAL : 1;
}

/* 1: a name of mDNS. */
static int take_address(struct words *w, bool needs_port, struct endpoint *ret)
{
	struct slice s;
	uint64_t port;
	int r, named;

	if (!next_word(w, &s))
		return -EINVAL;
	named = ends_in(s, ".local");
	r = named ? 0 : read_address(s, ret);
	if (r < 0)
		return r;
	r = take_number(w, needs_port, UINT16_MAX, &port);
	if (r < 0)
		return r;
	ret->port = (uint16_t)port;
	return named;
}

static int take_type(struct words *w, struct candidate *c)
{
	struct slice s;

	if (!next_word(w, &s) || !is_word(s, "typ") || !next_word(w, &s))
		return -EINVAL;
	for (size_t i = 0; i < G_N_ELEMENTS(types); i++)
		if (is_word(s, types[i])) {
			c->type = (enum candidate_type)i;
			return 0;
		}
	return -EINVAL;
}

/* An address that cannot be read counts as unspecified: only the port means something. */
static int take_related(struct words *w, struct endpoint *ret)
{
	struct endpoint e = { .family = AF_INET };
	struct slice s;
	uint64_t port;

	if (!next_word(w, &s))
		return -EINVAL;
	(void)read_address(s, &e);
	if (!next_word(w, &s) || !is_word(s, "rport") || take_number(w, 0, UINT16_MAX, &port) < 0)
		return -EINVAL;
	e.port = (uint16_t)port;
	*ret = e;
	return 0;
}

/* What stands behind the type. */
static int take_rest(struct words *w, struct candidate *c)
{
	struct slice key, value;
	int r = 0;

	for (bool first = true; r == 0 && next_word(w, &key); first = false) {
		if (first && is_word(key, "raddr"))
			r = take_related(w, &c->related);
		else if (!next_word(w, &value))
			r = -EINVAL;
		else if (is_word(key, "ufrag"))
			r = copy_word(value, c->ufrag, CANDIDATE_UFRAG_MAX);
		else if (is_word(key, "cid"))
			r = copy_word(value, c->id, CANDIDATE_ID_MAX);
	}
	return r;
}

int candidate_parse(const char *line, size_t len, struct candidate *ret)
{
	static const char prefix[] = "candidate:";
	size_t skip = len >= strlen(prefix) && !memcmp(line, prefix, strlen(prefix))
		? strlen(prefix)
		: 0;
	struct words w = { line + skip, line + len };
	struct candidate c = { 0 };
	uint64_t component, priority;
	int tcp, named;

	if (!len || len >= CANDIDATE_LINE_MAX || take_foundation(&w, &c) < 0 ||
		take_number(&w, 0, COMPONENT_MAX, &component) < 0)
		return -EINVAL;
	tcp = take_transport(&w);
	if (tcp < 0 || take_number(&w, 0, UINT32_MAX, &priority) < 0)
		return -EINVAL;
	c.priority = (uint32_t)priority;
	named = take_address(&w, !tcp, &c.address);
	if (named < 0 || take_type(&w, &c) < 0 || take_rest(&w, &c) < 0)
		return -EINVAL;
	if (tcp || named || component != 1)
		return -ENOTSUP;
	*ret = c;
	return 0;
}

static const char *address_text(const struct endpoint *e, char buf[static INET6_ADDRSTRLEN])
{
	return inet_ntop(e->family, e->addr, buf, INET6_ADDRSTRLEN);
}

const char *candidate_format(const struct candidate *c, char buf[static CANDIDATE_LINE_MAX])
{
	char address[INET6_ADDRSTRLEN];
	int at = g_snprintf(buf, CANDIDATE_LINE_MAX, "%s 1 udp %u %s %u typ %s", c->foundation,
		c->priority, address_text(&c->address, address), c->address.port, types[c->type]);

	if (c->related.family && c->related.port)
		at += g_snprintf(buf + at, (gulong)(CANDIDATE_LINE_MAX - at), " raddr %s rport %u",
			address_text(&c->related, address), c->related.port);
	if (c->ufrag[0])
		at += g_snprintf(
			buf + at, (gulong)(CANDIDATE_LINE_MAX - at), " ufrag %s", c->ufrag);
	if (c->id[0])
		g_snprintf(buf + at, (gulong)(CANDIDATE_LINE_MAX - at), " cid %s", c->id);
	return buf;
}
