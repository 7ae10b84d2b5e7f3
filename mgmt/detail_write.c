/* mgmt/detail_write.c - what a server's map says beyond peers and rules, for people and programs. */
#include <glib.h>

#include "agent/base/jwrite.h"
#include "mgmt/detail.h"

static void write_text(const struct detail *d, GString *out, const char *key, uint32_t text)
{
	jwrite_string(out, key, text ? detail_text(d, text) : NULL);
}

static void write_key(GString *out, const char *name, const struct wg_key *key)
{
	char text[KEY_STRLEN];

	jwrite_string(out, name, key_format(key, text));
}

static void write_routes(const struct detail *d, GString *out)
{
	char text[PREFIX_STRLEN];

	jwrite_open(out, "routes", '[');
	for (size_t i = 0; i < d->n_routes; i++) {
		const struct detail_route *route = &d->routes[i];

		jwrite_open(out, NULL, '{');
		write_text(d, out, "id", route->id);
		write_text(d, out, "network_id", route->net_id);
		jwrite_string(out, "network",
			route->network.family ? prefix_format(&route->network, text) : NULL);
		write_text(d, out, "domains", route->domains);
		write_key(out, "router", &route->peer);
		jwrite_int(out, "metric", route->metric);
		jwrite_bool(out, "ours", route->ours);
		jwrite_bool(out, "masquerade", route->masquerade);
		write_text(d, out, "unused", route->unused);
		jwrite_close(out, '}');
	}
	jwrite_close(out, ']');
}

static void write_offline(const struct detail *d, GString *out)
{
	jwrite_open(out, "offline_peers", '[');
	for (size_t i = 0; i < d->n_offline; i++) {
		jwrite_open(out, NULL, '{');
		write_text(d, out, "name", d->offline[i].name);
		write_key(out, "public_key", &d->offline[i].key);
		write_text(d, out, "addresses", d->offline[i].addresses);
		jwrite_close(out, '}');
	}
	jwrite_close(out, ']');
}

static void write_zone(const struct detail *d, GString *out, const struct detail_zone *zone)
{
	jwrite_open(out, NULL, '{');
	write_text(d, out, "domain", zone->domain);
	jwrite_bool(out, "search", !zone->search_disabled);
	jwrite_bool(out, "authoritative", !zone->non_authoritative);
	jwrite_int(out, "records", zone->n_records);
	jwrite_close(out, '}');
}

static void write_group(const struct detail *d, GString *out, const struct detail_servers *group)
{
	jwrite_open(out, NULL, '{');
	write_text(d, out, "servers", group->servers);
	write_text(d, out, "domains", group->domains);
	jwrite_bool(out, "primary", group->primary);
	jwrite_bool(out, "search", group->search);
	jwrite_close(out, '}');
}

/* Records are as many as peers: counted only. */
static void write_dns(const struct detail *d, GString *out)
{
	jwrite_open(out, "dns", '{');
	jwrite_bool(out, "enabled", d->dns.enabled);
	jwrite_int(out, "forwarder_port", d->dns.forwarder_port);
	jwrite_open(out, "zones", '[');
	for (size_t i = 0; i < d->dns.n_zones; i++)
		write_zone(d, out, &d->dns.zones[i]);
	jwrite_close(out, ']');
	jwrite_open(out, "servers", '[');
	for (size_t i = 0; i < d->dns.n_groups; i++)
		write_group(d, out, &d->dns.groups[i]);
	jwrite_close(out, ']');
	jwrite_close(out, '}');
}

static void write_notes(const struct detail *d, GString *out)
{
	jwrite_open(out, "notes", '[');
	for (size_t i = 0; i < d->n_notes; i++)
		jwrite_string(out, NULL, detail_text(d, d->notes[i]));
	jwrite_close(out, ']');
	jwrite_int(out, "noted", (int64_t)d->n_left_out);
}

void detail_write(const struct detail *d, GString *out)
{
	write_routes(d, out);
	write_offline(d, out);
	write_dns(d, out);
	jwrite_int(out, "route_rules", (int64_t)d->n_route_rules);
	jwrite_int(out, "forwarding_rules", (int64_t)d->n_forwards);
	write_notes(d, out);
}
