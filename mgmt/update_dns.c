/* mgmt/update_dns.c - from a message: names, and who is to be asked for others. */
#include <glib.h>
#include <stdio.h>
#include <string.h>

#include "mgmt/management.pb-c.h"
#include "mgmt/update.h"
#include "mgmt/update_impl.h"

enum { CONFIG_ENABLE = 1, CONFIG_GROUP = 2, CONFIG_ZONE = 3, CONFIG_PORT = 4 };
enum { ZONE_DOMAIN = 1, ZONE_RECORD = 2, ZONE_NO_SEARCH = 3, ZONE_NO_AUTHORITY = 4 };
enum { FORWARDER_PORT = 5353, DNS_PORT = 53, OVER_UDP = 1 };

enum { RECORD_NAME = 1, RECORD_TYPE, RECORD_CLASS, RECORD_TTL, RECORD_DATA };

static uint32_t add_domain(struct update_reading *r, struct wire_bytes bytes)
{
	char name[UPDATE_NAME_MAX + 3];
	size_t len = update_normal_domain((const char *)bytes.data, bytes.len, name);

	return len ? update_add_text(&r->texts, name, len) : 0;
}

/* -- zones ---------------------------------------------------------------------------------- */

/* SimpleRecord, walked over rather than unpacked: each peer has one. */
struct record_read {
	struct wire_bytes name, class, data;
	int64_t type, ttl;
};

static bool read_record(struct wire_bytes bytes, struct record_read *ret)
{
	struct wire wire = wire_begin(bytes);
	struct wire_field field;

	while (wire_next(&wire, &field)) {
		if (field.number == RECORD_NAME && field.has_bytes)
			ret->name = field.bytes;
		else if (field.number == RECORD_TYPE && !field.has_bytes)
			ret->type = (int64_t)field.value;
		else if (field.number == RECORD_CLASS && field.has_bytes)
			ret->class = field.bytes;
		else if (field.number == RECORD_TTL && !field.has_bytes)
			ret->ttl = (int64_t)field.value;
		else if (field.number == RECORD_DATA && field.has_bytes)
			ret->data = field.bytes;
	}
	return !wire.bad;
}

static bool is_internet(struct wire_bytes class)
{
	return class.len == 2 && !memcmp(class.data, "IN", 2);
}

static void add_record(struct update_reading *r, struct wire_bytes bytes)
{
	struct detail *d = r->detail;
	struct record_read in = { 0 };
	struct detail_record record = { 0 };
	const char *data;

	if (!read_record(bytes, &in))
		return update_note(r, "a DNS record that cannot be read");
	data = (const char *)in.data.data;
	if (!is_internet(in.class) || in.type < 1 || in.type > UINT16_MAX || in.ttl < 0 ||
		!update_text_is_good(data, in.data.len, UPDATE_TEXT_MAX))
		return update_note(r, "a DNS record of %.*s that cannot be", UPDATE_SHOWN(in.name));
	record.name = add_domain(r, in.name);
	if (!record.name)
		return update_note(
			r, "a DNS record of %.*s: that is no name", UPDATE_SHOWN(in.name));
	record.data = update_add_text(&r->texts, data, in.data.len);
	record.type = (uint16_t)in.type;
	record.ttl_s = (uint32_t)MIN(in.ttl, INT32_MAX);
	d->dns.records = update_room(d->dns.records, d->dns.n_records, sizeof(record));
	d->dns.records[d->dns.n_records++] = record;
}

static void read_zone(struct update_reading *r, struct wire_bytes bytes)
{
	struct detail *d = r->detail;
	struct detail_zone zone = { .record = (uint32_t)d->dns.n_records };
	struct wire wire = wire_begin(bytes);
	struct wire_field field;

	while (wire_next(&wire, &field)) {
		if (field.number == ZONE_DOMAIN && field.has_bytes)
			zone.domain = add_domain(r, field.bytes);
		else if (field.number == ZONE_RECORD && field.has_bytes)
			add_record(r, field.bytes);
		else if (field.number == ZONE_NO_SEARCH && !field.has_bytes)
			zone.search_disabled = field.value;
		else if (field.number == ZONE_NO_AUTHORITY && !field.has_bytes)
			zone.non_authoritative = field.value;
	}
	zone.n_records = (uint32_t)d->dns.n_records - zone.record;
	if (wire.bad || !zone.domain) {
		d->dns.n_records = zone.record;
		return update_note(r, "a DNS zone that cannot be read");
	}
	d->dns.zones = update_room(d->dns.zones, d->dns.n_zones, sizeof(zone));
	d->dns.zones[d->dns.n_zones++] = zone;
}

/* -- servers -------------------------------------------------------------------------------- */

static void add_server(
	struct update_reading *r, const Management__NameServer *in, struct update_list *list)
{
	struct endpoint e = { .port = (uint16_t)(in->port ? in->port : DNS_PORT) };
	char text[ENDPOINT_STRLEN];
	struct prefix p;

	if (in->nstype != OVER_UDP || in->port < 0 || in->port > UINT16_MAX ||
		prefix_parse(in->ip, strlen(in->ip), &p) < 0 || !prefix_is_host(&p))
		return update_note(r, "a DNS server %s that cannot be asked", in->ip);
	for (size_t i = 0; i < r->map->hosts[r->map->self].n_addresses; i++)
		if (prefix_is_same(&r->map->prefixes[i], &p))
			return; /* that would be us */
	e.family = p.family;
	memcpy(e.addr, p.addr, sizeof(e.addr));
	endpoint_format(&e, text);
	update_list_add(list, text, strlen(text));
}

static void read_group(struct update_reading *r, struct wire_bytes bytes)
{
	const Management__NameServerGroup *in = management__name_server_group__unpack(
		update_arena(r), bytes.len, bytes.data);
	struct update_list servers = { .texts = &r->texts }, domains = servers;
	struct detail *d = r->detail;
	char name[UPDATE_NAME_MAX + 3];

	if (!in)
		return update_note(r, "DNS servers that cannot be read");
	for (size_t i = 0; i < in->n_nameservers; i++)
		add_server(r, in->nameservers[i], &servers);
	for (size_t i = 0; i < in->n_domains; i++) {
		size_t len = update_normal_domain(in->domains[i], strlen(in->domains[i]), name);

		if (len)
			update_list_add(&domains, name, len);
		else
			update_note(r, "DNS servers for %s: that is no domain", in->domains[i]);
	}
	if (!servers.begin || (!in->primary && !domains.begin))
		return update_note(r, "DNS servers without %s",
			servers.begin ? "domains" : "one that can be asked");
	d->dns.groups = update_room(d->dns.groups, d->dns.n_groups, sizeof(*d->dns.groups));
	d->dns.groups[d->dns.n_groups++] = (struct detail_servers){ servers.begin, domains.begin,
		in->primary, in->searchdomainsenabled };
}

/* -- the whole ------------------------------------------------------------------------------ */

static void set_port(struct update_reading *r, uint64_t port)
{
	r->detail->dns.forwarder_port = FORWARDER_PORT;
	if (port && port <= UINT16_MAX)
		r->detail->dns.forwarder_port = (uint16_t)port;
	else if (port)
		update_note(
			r, "a port of DNS forwarders that cannot be, %d is taken", FORWARDER_PORT);
}

void update_read_dns(struct update_reading *r, struct wire_bytes bytes)
{
	struct wire wire = wire_begin(bytes);
	struct wire_field field;

	set_port(r, 0);
	while (wire_next(&wire, &field)) {
		if (field.number == CONFIG_ENABLE && !field.has_bytes)
			r->detail->dns.enabled = field.value;
		else if (field.number == CONFIG_GROUP && field.has_bytes)
			read_group(r, field.bytes);
		else if (field.number == CONFIG_ZONE && field.has_bytes)
			read_zone(r, field.bytes);
		else if (field.number == CONFIG_PORT && !field.has_bytes)
			set_port(r, field.value);
	}
	if (wire.bad)
		update_note(r, "the end of the DNS configuration cannot be read");
}
