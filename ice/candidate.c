/* ice/candidate.c - parses, writes, completes and judges candidates. */
#include "ice/candidate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <glib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/text.h"
#include "ice/crc32.h"

enum { DIGITS_MAX = 10, LOCAL_PREFERENCE = 65535, COMPONENT = 1 };

static const struct {
	const char *name;
	uint32_t preference;
} types[] = {
	[CANDIDATE_HOST] = { "host", 126 },
	[CANDIDATE_SRFLX] = { "srflx", 100 },
	[CANDIDATE_PRFLX] = { "prflx", 110 },
	[CANDIDATE_RELAY] = { "relay", 0 },
};

const char *candidate_type_name(enum candidate_type type)
{
	return types[type].name;
}

/* -- parsing: each takes a word off the line and is false when it is not what it has to be ---- */

struct word {
	const char *at;
	size_t len;
};

struct line {
	const char *at, *end; /* at == NULL: the last word was taken */
};

/* Words are apart by one space; one may be empty. */
static bool take_word(struct line *l, struct word *ret)
{
	const char *space;

	if (!l->at)
		return false;
	space = memchr(l->at, ' ', (size_t)(l->end - l->at));
	*ret = (struct word){ l->at, (size_t)((space ? space : l->end) - l->at) };
	l->at = space ? space + 1 : NULL;
	return true;
}

static bool is_word(const struct word *w, const char *text)
{
	return w->len == strlen(text) && !memcmp(w->at, text, w->len);
}

static bool take_number(struct line *l, size_t digits_max, uint64_t max, uint64_t *ret)
{
	struct word w;

	*ret = 0;
	if (!take_word(l, &w) || !w.len || w.len > digits_max)
		return false;
	for (size_t i = 0; i < w.len; i++) {
		if (!g_ascii_isdigit(w.at[i]))
			return false;
		*ret = *ret * 10 + (uint64_t)(w.at[i] - '0');
	}
	return *ret <= max;
}

static bool take_port(struct line *l, struct endpoint *ret)
{
	uint64_t port;

	if (!take_number(l, DIGITS_MAX, UINT16_MAX, &port))
		return false;
	ret->port = (uint16_t)port;
	return true;
}

static bool take_foundation(struct line *l, struct candidate *c)
{
	struct word w;

	if (!take_word(l, &w) || w.len > CANDIDATE_FOUNDATION_MAX)
		return false;
	for (size_t i = 0; i < w.len; i++)
		if (!g_ascii_isalnum(w.at[i]) && w.at[i] != '+' && w.at[i] != '/')
			return false;
	memcpy(c->foundation, w.at, w.len);
	return true;
}

static bool take_transport(struct line *l, struct candidate *c)
{
	struct word w;

	if (!take_word(l, &w) || w.len < 3)
		return false;
	c->tcp = !g_ascii_strncasecmp(w.at, "tcp", 3);
	return c->tcp || !g_ascii_strncasecmp(w.at, "udp", 3);
}

/* A zone means something to the sender only. */
static bool parse_address(const struct word *w, struct endpoint *ret)
{
	const char *zone = memchr(w->at, '%', w->len);
	struct prefix p;

	if (memchr(w->at, '/', w->len) ||
		prefix_parse(w->at, zone ? (size_t)(zone - w->at) : w->len, &p) < 0 ||
		(zone && p.family == AF_INET))
		return false;
	*ret = (struct endpoint){ .family = p.family };
	memcpy(ret->addr, p.addr, sizeof(ret->addr));
	return true;
}

static bool take_type(struct line *l, struct candidate *c)
{
	struct word w;

	if (!take_word(l, &w) || !is_word(&w, "typ") || !take_word(l, &w))
		return false;
	for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
		c->type = (enum candidate_type)i;
		if (is_word(&w, types[i].name))
			return true;
	}
	return false;
}

static bool take_related(struct line *l, struct candidate *c)
{
	struct line ahead = *l;
	struct word w;

	if (!take_word(&ahead, &w) || !is_word(&w, "raddr"))
		return true;
	if (!take_word(&ahead, &w) || !w.len)
		return false;
	if (!parse_address(&w, &c->related))
		c->related = (struct endpoint){ .family = AF_INET };
	if (!take_word(&ahead, &w) || !is_word(&w, "rport") || !take_port(&ahead, &c->related))
		return false;
	*l = ahead;
	return true;
}

static bool keep(const struct word *value, char *ret, size_t max)
{
	if (value->len > max)
		return false;
	memcpy(ret, value->at, value->len);
	ret[value->len] = '\0';
	return true;
}

/* Pairs of any key and value; senders were seen that leave the last value out. */
static bool take_extensions(struct line *l, struct candidate *c)
{
	struct word key, value;

	while (take_word(l, &key)) {
		if (!key.len)
			return false;
		if (!take_word(l, &value))
			return true;
		if (is_word(&key, "ufrag") && !keep(&value, c->ufrag, CANDIDATE_UFRAG_MAX))
			return false;
		if (is_word(&key, "cid") && !keep(&value, c->id, CANDIDATE_ID_LEN))
			return false;
	}
	return true;
}

static bool is_printable(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!g_ascii_isprint(text[i]))
			return false;
	return true;
}

int candidate_parse(const char *text, size_t len, struct candidate *ret)
{
	static const char start[] = "candidate:";
	struct line l = { text, text + len };
	struct candidate c = { .tcp = false };
	uint64_t component, priority;
	struct word address;

	if (len >= CANDIDATE_LINE_MAX || !is_printable(text, len))
		return -EINVAL;
	if (len >= strlen(start) && !memcmp(text, start, strlen(start)))
		l.at += strlen(start);
	if (!take_foundation(&l, &c) || !take_number(&l, 5, UINT32_MAX, &component) ||
		!take_transport(&l, &c) || !take_number(&l, DIGITS_MAX, UINT32_MAX, &priority) ||
		!take_word(&l, &address) || !address.len)
		return -EINVAL;
	c.component = (uint32_t)component;
	c.priority = (uint32_t)priority;
	if (!parse_address(&address, &c.at))
		return text_is_hostname(address.at, address.len) ? -EADDRNOTAVAIL : -EINVAL;
	if (!take_port(&l, &c.at) || !take_type(&l, &c) || !take_related(&l, &c) ||
		!take_extensions(&l, &c))
		return -EINVAL;
	*ret = c;
	return 0;
}

/* -- writing -------------------------------------------------------------------------------- */

static const char *format_address(const struct endpoint *e, char buf[static INET6_ADDRSTRLEN])
{
	return inet_ntop(e->family, e->addr, buf, INET6_ADDRSTRLEN);
}

const char *candidate_format(const struct candidate *c, char buf[static CANDIDATE_LINE_MAX])
{
	char address[INET6_ADDRSTRLEN];
	char *at = buf, *end = buf + CANDIDATE_LINE_MAX;

	at += g_snprintf(at, (gulong)(end - at), "%s %u %s %u %s %u typ %s", c->foundation,
		c->component, c->tcp ? "tcp" : "udp", c->priority, format_address(&c->at, address),
		c->at.port, types[c->type].name);
	if (c->related.family)
		at += g_snprintf(at, (gulong)(end - at), " raddr %s rport %u",
			format_address(&c->related, address), c->related.port);
	if (c->ufrag[0])
		at += g_snprintf(at, (gulong)(end - at), " ufrag %s", c->ufrag);
	if (c->id[0])
		at += g_snprintf(at, (gulong)(end - at), " cid %s", c->id);
	g_assert(at < end);
	return buf;
}

/* -- our own -------------------------------------------------------------------------------- */

void candidate_random_text(char *ret, size_t len)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789+/";
	uint8_t bytes[CANDIDATE_ID_LEN];

	g_assert(len <= sizeof(bytes));
	if (getentropy(bytes, len) < 0)
		g_error("no random bytes");
	for (size_t i = 0; i < len; i++)
		ret[i] = letters[bytes[i] % 64];
	ret[len] = '\0';
	explicit_bzero(bytes, sizeof(bytes));
}

static void put_foundation(struct candidate *c)
{
	char address[INET6_ADDRSTRLEN], text[INET6_ADDRSTRLEN + 16];
	int len = g_snprintf(text, sizeof(text), "%s%s%s", types[c->type].name,
		format_address(&c->at, address), c->at.family == AF_INET ? "udp4" : "udp6");

	g_snprintf(c->foundation, sizeof(c->foundation), "%u", crc32_of(text, (size_t)len));
}

void candidate_complete(struct candidate *c)
{
	c->component = COMPONENT;
	c->priority = (types[c->type].preference << 24) + (LOCAL_PREFERENCE << 8) + 256 - COMPONENT;
	put_foundation(c);
	candidate_random_text(c->id, CANDIDATE_ID_LEN);
}

/* -- those of others ------------------------------------------------------------------------ */

const char *candidate_refusal(
	const struct candidate *c, const struct prefix *overlay, size_t n_overlay)
{
	static const struct {
		struct prefix net;
		const char *words;
	} never[] = {
		{ { AF_INET, 8, { 0 } }, "unspecified" },
		{ { AF_INET6, 128, { 0 } }, "unspecified" },
		{ { AF_INET, 8, { 127 } }, "loopback" },
		{ { AF_INET6, 128, { [15] = 1 } }, "loopback" },
		{ { AF_INET, 16, { 169, 254 } }, "link-local" },
		{ { AF_INET6, 10, { 0xfe, 0x80 } }, "link-local" },
		/* A cloud's metadata where there is no link-local IPv4. */
		{ { AF_INET6, 32, { 0xfd, 0x00, 0x0e, 0xc2 } }, "metadata service" },
		{ { AF_INET, 4, { 224 } }, "multicast" },
		{ { AF_INET6, 8, { 0xff } }, "multicast" },
		{ { AF_INET, 4, { 240 } }, "broadcast or reserved" },
	};
	struct prefix host = { .family = c->at.family };

	if (c->tcp)
		return "TCP";
	if (c->component != COMPONENT)
		return "another component";
	if (!c->at.port)
		return "port 0";
	host.bits = (uint8_t)prefix_width(&host);
	memcpy(host.addr, c->at.addr, sizeof(host.addr));
	for (size_t i = 0; i < G_N_ELEMENTS(never); i++)
		if (prefix_contains(&never[i].net, &host))
			return never[i].words;
	for (size_t i = 0; i < n_overlay; i++)
		if (prefix_contains(&overlay[i], &host))
			return "inside of the overlay network";
	return NULL;
}

bool candidate_make_extra(const struct candidate *c, struct candidate *ret)
{
	if (c->type != CANDIDATE_SRFLX || !c->id[0] || !c->related.family || !c->related.port ||
		c->related.port == c->at.port)
		return false;
	*ret = *c;
	ret->at.port = c->related.port;
	return true;
}
