/* ice/candidate.c - completes and judges candidates. */
#include "ice/candidate.h"

#include <arpa/inet.h>
#include <glib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ice/crc32.h"

enum { LOCAL_PREFERENCE = 65535, COMPONENT = 1 };

static const uint32_t preferences[] = {
	[CANDIDATE_HOST] = 126,
	[CANDIDATE_SRFLX] = 100,
	[CANDIDATE_PRFLX] = 110,
	[CANDIDATE_RELAY] = 0,
};

/* -- our own -------------------------------------------------------------------------------- */

static void put_id(struct candidate *c)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789+/";
	uint8_t bytes[CANDIDATE_ID_LEN];

	if (getentropy(bytes, sizeof(bytes)) < 0)
		g_error("no random bytes");
	for (size_t i = 0; i < sizeof(bytes); i++)
		c->id[i] = letters[bytes[i] % 64];
	c->id[sizeof(bytes)] = '\0';
}

static void put_foundation(struct candidate *c)
{
	char address[INET6_ADDRSTRLEN], text[INET6_ADDRSTRLEN + 16];
	int len = g_snprintf(text, sizeof(text), "%s%s%s", candidate_type_name(c->type),
		inet_ntop(c->address.family, c->address.addr, address, sizeof(address)),
		c->address.family == AF_INET ? "udp4" : "udp6");

	g_snprintf(c->foundation, sizeof(c->foundation), "%u", crc32_of(text, (size_t)len));
}

void candidate_complete(struct candidate *c)
{
	c->priority = (preferences[c->type] << 24) + (LOCAL_PREFERENCE << 8) + 256 - COMPONENT;
	put_foundation(c);
	put_id(c);
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
	struct prefix host = { .family = c->address.family };

	if (!c->address.port)
		return "port 0";
	host.bits = (uint8_t)prefix_width(&host);
	memcpy(host.addr, c->address.addr, sizeof(host.addr));
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
		c->related.port == c->address.port)
		return false;
	*ret = *c;
	ret->address.port = c->related.port;
	return true;
}
