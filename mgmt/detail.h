/* mgmt/detail.h - what a server's map says beyond peers and rules: routes, names, peers that are away.
 * A plain value beside struct netmap; parts of it take effect, all of it is shown. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/addr.h"
#include "agent/base/key.h"

/* Texts are offsets into `text`; 0 is "". */
struct detail_route {
	uint32_t id, net_id, domains; /* domains: joined by ", "; 0: it is a network */
	struct prefix network;
	struct wg_key peer;
	uint16_t metric;
	bool ours; /* we are its router */
	bool masquerade, keep, skip_auto;
	uint32_t unused; /* why it has no effect; 0: it has */
};

struct detail_offline {
	struct wg_key key;
	uint32_t name, addresses; /* addresses: joined by ", " */
};

struct detail_zone {
	uint32_t domain;
	uint32_t record, n_records; /* in `records` */
	bool search_disabled, non_authoritative;
};

struct detail_record {
	uint32_t name, data;
	uint16_t type;
	uint32_t ttl_s;
};

struct detail_servers {
	uint32_t servers; /* "192.0.2.1:53, ..." */
	uint32_t domains; /* joined by ", " */
	bool primary, search;
};

struct detail {
	struct detail_route *routes;
	size_t n_routes;
	struct detail_offline *offline;
	size_t n_offline;
	struct {
		bool enabled;
		uint16_t forwarder_port;
		struct detail_zone *zones;
		size_t n_zones;
		struct detail_record *records;
		size_t n_records;
		struct detail_servers *groups;
		size_t n_groups;
	} dns;
	size_t n_route_rules, n_forwards; /* counted only: they have no effect yet */
	/* What was left out of the map or taken otherwise, and why, one line each: "peer x: bad key"; at
	 * most DETAIL_NOTES_MAX, n_left_out counts all. */
	uint32_t *notes;
	size_t n_notes, n_left_out;
	char *text;
	size_t text_len;
};

enum { DETAIL_NOTES_MAX = 64 };

static inline const char *detail_text(const struct detail *detail, uint32_t offset)
{
	return detail->text + offset;
}
void detail_free(struct detail *detail); /* NULL is fine */
/* As members of a JSON object that is open: routes, offline_peers, dns, counts, notes. */
void detail_write(const struct detail *detail, GString *out);
