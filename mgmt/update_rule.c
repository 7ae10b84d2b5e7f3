/* mgmt/update_rule.c - from a message: what may come in over the tunnel.
 *
 * What cannot be expressed never opens anything: a rule that accepts is left out, one that drops becomes
 * the broader one. */
#include <assert.h>
#include <endian.h>
#include <glib.h>
#include <stdlib.h>
#include <string.h>

#include "mgmt/management.pb-c.h"
#include "mgmt/update.h"
#include "mgmt/update_impl.h"

/* FirewallRule, walked over rather than unpacked: there are as many as peers, or more. */
enum {
	RULE_ADDRESS = 1,
	RULE_DIRECTION,
	RULE_ACTION,
	RULE_PROTOCOL,
	RULE_PORT,
	RULE_PORTS,
	RULE_SOURCE = 9
};
enum { PORTS_ONE = 1, PORTS_RANGE = 2 };

struct rule_read {
	struct wire_bytes address, port, source;
	size_t n_sources; /* `source` is the last one */
	uint64_t direction, action, protocol;
	uint64_t one_port, first_port, last_port; /* one of them, or a range */
};

static const struct prefix any_v4 = { .family = AF_INET }, any_v6 = { .family = AF_INET6 };

static void add_rule(struct update_reading *r, const struct filter_rule *rule)
{
	struct netmap *map = r->map;

	if (map->n_rules == UPDATE_RULES_MAX) {
		r->drop_all |= rule->drop;
		return update_note(r, "a rule too many");
	}
	map->rules = update_room(map->rules, map->n_rules, sizeof(*rule));
	map->rules[map->n_rules++] = *rule;
}

static void add_for_everybody(struct update_reading *r, bool drop)
{
	add_rule(r, &(struct filter_rule){ .source = any_v4, .drop = drop });
	add_rule(r, &(struct filter_rule){ .source = any_v6, .drop = drop });
}

/* -- reading -------------------------------------------------------------------------------- */

static bool read_range(struct wire_bytes bytes, struct rule_read *rule)
{
	struct wire wire = wire_begin(bytes);
	struct wire_field field;

	while (wire_next(&wire, &field))
		if (field.number == 1 && !field.has_bytes)
			rule->first_port = field.value;
		else if (field.number == 2 && !field.has_bytes)
			rule->last_port = field.value;
	return !wire.bad;
}

static bool read_ports(struct wire_bytes bytes, struct rule_read *rule)
{
	struct wire wire = wire_begin(bytes);
	struct wire_field field;
	bool good = true;

	while (good && wire_next(&wire, &field)) {
		if (field.number != PORTS_ONE && field.number != PORTS_RANGE)
			continue;
		/* Either the one or the other. */
		rule->one_port = rule->first_port = rule->last_port = 0;
		if (field.number == PORTS_ONE && !field.has_bytes)
			rule->one_port = field.value;
		else if (field.number == PORTS_RANGE && field.has_bytes)
			good = read_range(field.bytes, rule);
	}
	return good && !wire.bad;
}

static void take_bytes(struct rule_read *rule, const struct wire_field *field)
{
	if (field->number == RULE_ADDRESS)
		rule->address = field->bytes;
	else if (field->number == RULE_PORT)
		rule->port = field->bytes;
	else if (field->number == RULE_SOURCE) {
		rule->source = field->bytes;
		rule->n_sources++;
	}
}

static void take_value(struct rule_read *rule, const struct wire_field *field)
{
	if (field->number == RULE_DIRECTION)
		rule->direction = field->value;
	else if (field->number == RULE_ACTION)
		rule->action = field->value;
	else if (field->number == RULE_PROTOCOL)
		rule->protocol = field->value;
}

static bool read_rule(struct wire_bytes bytes, struct rule_read *ret)
{
	struct wire wire = wire_begin(bytes);
	struct wire_field field;

	while (wire_next(&wire, &field)) {
		if (!field.has_bytes)
			take_value(ret, &field);
		else if (field.number != RULE_PORTS)
			take_bytes(ret, &field);
		else if (!read_ports(field.bytes, ret))
			return false;
	}
	return !wire.bad;
}

/* -- ports ---------------------------------------------------------------------------------- */

static bool set_ports(struct filter_rule *rule, uint64_t first, uint64_t last)
{
	rule->first_port = (uint16_t)first;
	rule->last_port = (uint16_t)last;
	return first && first <= last && last <= UINT16_MAX;
}

/* False: they make no sense. */
static bool choose_ports(const struct rule_read *in, struct filter_rule *rule)
{
	uint64_t port = 0;

	if (in->one_port)
		return set_ports(rule, in->one_port, in->one_port);
	if (in->first_port && in->last_port)
		return set_ports(rule, in->first_port, in->last_port);
	if (!in->port.len)
		return true;
	if (in->port.len > 5)
		return false;
	for (size_t i = 0; i < in->port.len; i++) {
		if (!g_ascii_isdigit(in->port.data[i]))
			return false;
		port = port * 10 + in->port.data[i] - '0';
	}
	return set_ports(rule, port, port);
}

/* -- who ------------------------------------------------------------------------------------ */

/* Address and length. IPv4 inside of IPv6 is IPv4. */
static bool source_from_bytes(struct wire_bytes bytes, struct prefix *ret)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	struct prefix p = { .family = bytes.len == 5 ? AF_INET : AF_INET6 };
	const uint8_t *address = bytes.data;
	unsigned bits;

	if (bytes.len != 5 && bytes.len != 17)
		return false;
	bits = bytes.data[bytes.len - 1];
	if (p.family == AF_INET6 && !memcmp(address, mapped, sizeof(mapped))) {
		if (bits < 96 || bits > 128)
			return false;
		p.family = AF_INET;
		address += sizeof(mapped);
		bits -= 96;
	}
	if (bits > prefix_width(&p))
		return false;
	p.bits = (uint8_t)bits;
	memcpy(p.addr, address, prefix_width(&p) / 8);
	update_mask(&p);
	*ret = p;
	return true;
}

/* The address that stands for all of them. */
static void widen_unspecified(struct prefix *p)
{
	static const uint8_t zero[16];

	if (prefix_is_host(p) && !memcmp(p->addr, zero, sizeof(zero)))
		p->bits = 0;
}

static void add_from(struct update_reading *r, struct filter_rule rule, const struct prefix *source)
{
	rule.source = *source;
	widen_unspecified(&rule.source);
	if (source->family == AF_INET6 && !r->has_v6)
		return;
	if (source->family == AF_INET6 && rule.protocol == IPPROTO_ICMP)
		rule.protocol = IPPROTO_ICMPV6;
	if (rule.protocol || !rule.first_port)
		return add_rule(r, &rule);
	/* Ports of whatever has ports. */
	rule.protocol = IPPROTO_TCP;
	add_rule(r, &rule);
	rule.protocol = IPPROTO_UDP;
	add_rule(r, &rule);
}

static void source_unreadable(struct update_reading *r, const struct rule_read *in)
{
	r->drop_all |= in->action != MANAGEMENT__RULE_ACTION__ACCEPT;
	update_note(r, "a rule for %.*s: its source cannot be read", UPDATE_SHOWN(in->address));
}

static void add_from_source(struct update_reading *r, const struct rule_read *in,
	const struct filter_rule *rule, struct wire_bytes bytes)
{
	struct prefix source;

	if (source_from_bytes(bytes, &source))
		add_from(r, *rule, &source);
	else
		source_unreadable(r, in);
}

/* One of them all but always. */
static void add_from_sources(struct update_reading *r, struct wire_bytes element,
	const struct rule_read *in, const struct filter_rule *rule)
{
	struct wire wire = wire_begin(element);
	struct wire_field field;

	while (wire_next(&wire, &field))
		if (field.number == RULE_SOURCE && field.has_bytes)
			add_from_source(r, in, rule, field.bytes);
}

static void add_from_all(struct update_reading *r, struct wire_bytes element,
	const struct rule_read *in, const struct filter_rule *rule)
{
	struct prefix source;

	if (in->n_sources == 1)
		add_from_source(r, in, rule, in->source);
	else if (in->n_sources)
		add_from_sources(r, element, in, rule);
	else if (in->address.len &&
		prefix_parse((const char *)in->address.data, in->address.len, &source) == 0)
		add_from(r, *rule, &source);
	else
		source_unreadable(r, in);
}

/* -- what ----------------------------------------------------------------------------------- */

/* False: it is nothing that a rule of ours can say. */
static bool choose_what(const struct rule_read *in, struct filter_rule *rule)
{
	switch (in->protocol) {
	case MANAGEMENT__RULE_PROTOCOL__ALL:
		break;
	case MANAGEMENT__RULE_PROTOCOL__TCP:
		rule->protocol = IPPROTO_TCP;
		break;
	case MANAGEMENT__RULE_PROTOCOL__UDP:
		rule->protocol = IPPROTO_UDP;
		break;
	case MANAGEMENT__RULE_PROTOCOL__ICMP:
		rule->protocol = IPPROTO_ICMP;
		break;
	default:
		return false;
	}
	if (!choose_ports(in, rule))
		return false;
	return rule->protocol != IPPROTO_ICMP || !rule->first_port;
}

void update_read_rule(struct update_reading *r, struct wire_bytes bytes)
{
	struct rule_read in = { 0 };
	struct filter_rule rule = { 0 };

	if (!read_rule(bytes, &in)) {
		r->drop_all = true;
		return update_note(r, "a rule that cannot be read");
	}
	/* What goes out is never filtered. */
	if (in.direction == MANAGEMENT__RULE_DIRECTION__OUT)
		return;
	rule.drop = in.action != MANAGEMENT__RULE_ACTION__ACCEPT;
	if (in.direction != MANAGEMENT__RULE_DIRECTION__IN ||
		in.action > MANAGEMENT__RULE_ACTION__DROP || !choose_what(&in, &rule)) {
		update_note(r, "a rule for %.*s cannot be expressed: %s", UPDATE_SHOWN(in.address),
			rule.drop ? "everything from there is dropped" : "left out");
		if (!rule.drop)
			return;
		rule = (struct filter_rule){ .drop = true };
	}
	add_from_all(r, bytes, &in, &rule);
}

/* -- the whole ------------------------------------------------------------------------------ */

static_assert(sizeof(struct filter_rule) == 3 * sizeof(uint64_t), "rules are compared by words");

/* As memcmp, which is called for every pair of them. */
static int rule_order(const void *a, const void *b)
{
	for (size_t i = 0; i < sizeof(struct filter_rule); i += sizeof(uint64_t)) {
		uint64_t x, y;

		memcpy(&x, (const uint8_t *)a + i, sizeof(x));
		memcpy(&y, (const uint8_t *)b + i, sizeof(y));
		if (x != y)
			return be64toh(x) < be64toh(y) ? -1 : 1;
	}
	return 0;
}

/* In an order that does not depend on that of the server, each once. */
static void sort_rules(struct netmap *map)
{
	size_t kept = 0;

	if (!map->n_rules)
		return;
	qsort(map->rules, map->n_rules, sizeof(*map->rules), rule_order);
	for (size_t i = 0; i < map->n_rules; i++)
		if (!kept || rule_order(&map->rules[kept - 1], &map->rules[i]))
			map->rules[kept++] = map->rules[i];
	map->n_rules = kept;
}

void update_finish_rules(struct update_reading *r, bool sent, bool is_empty)
{
	struct netmap *map = r->map;

	map->has_rules = true;
	if (!sent && !is_empty) {
		add_for_everybody(r, false);
		update_note(r, "the server speaks of no rules: everything is accepted");
	}
	if (r->drop_all) {
		map->n_rules = 0;
		add_for_everybody(r, true);
		update_note(r, "a rule that drops could not be taken: everything is dropped");
	}
	sort_rules(map);
}
