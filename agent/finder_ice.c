/* agent/finder_ice.c - our own addresses, as candidates. */
#include "agent/finder_impl.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <string.h>

#include "agent/base/candidate.h"
#include "mgmt/netmap.h"

bool finder_may_send_to(const struct finder *f, const struct endpoint *at)
{
	return at->family && at->port;
}

static void offer_address(struct finder *f, const struct wg_key *key,
	const struct nego_words *words, const struct endpoint *at)
{
	struct candidate c = { .type = CANDIDATE_HOST, .priority = 2130706431, .address = *at };
	char line[CANDIDATE_LINE_MAX];

	g_snprintf(c.foundation, sizeof(c.foundation), "1");
	g_strlcpy(c.ufrag, words->ufrag, sizeof(c.ufrag));
	nego_local_candidate(f->nego, key, words->session, candidate_format(&c, line));
}

void finder_ice_start(struct finder *f, const struct wg_key *key)
{
	struct ifaddrs *list, *i;
	struct nego_words words;
	struct endpoint at;

	if (!nego_words(f->nego, key, &words) || getifaddrs(&list) < 0)
		return;
	for (i = list; i; i = i->ifa_next) {
		if (!i->ifa_addr || i->ifa_flags & IFF_LOOPBACK || !strncmp(i->ifa_name, "wt", 2) ||
			endpoint_from_sockaddr(i->ifa_addr,
				i->ifa_addr->sa_family == AF_INET ? sizeof(struct sockaddr_in)
								  : sizeof(struct sockaddr_in6),
				&at) < 0)
			continue;
		at.port = engine_port(f->engine);
		if (!at.scope)
			offer_address(f, key, &words, &at);
	}
	freeifaddrs(list);
}

void finder_ice_stop(struct finder *f, const struct wg_key *key)
{
}

void finder_ice_candidate(struct finder *f, const struct wg_key *key, const char *line)
{
}
