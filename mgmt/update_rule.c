/* mgmt/update_rule.c - from a message: what may come in over the tunnel.
 *
 * What cannot be expressed never opens anything: a rule that accepts is left out, one that drops becomes
 * the broader one. */
#include <glib.h>
#include <stdlib.h>
#include <string.h>

#include "mgmt/management.pb-c.h"
#include "mgmt/update.h"
#include "mgmt/update_impl.h"

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

/* -- ports ---------------------------------------------------------------------------------- */

static bool set_ports(struct filter_rule *rule, uint32_t first, uint32_t last)
{
	rule->first_port = (uint16_t)first;
	rule->last_port = (uint16_t)last;
	return first && first <= last && last <= UINT16_MAX;
}

/* False: they make no sense. */
static bool read_ports(const Management__FirewallRule *in, struct filter_rule *rule)
{
	const Management__PortInfo *info = in->portinfo;
	char *end;
	unsigned long port;

	if (info && info->port_selection_case == MANAGEMENT__PORT_INFO__PORT_SELECTION_PORT &&
		info->port)
		return set_ports(rule, info->port, info->port);
	if (info && info->port_selection_case == MANAGEMENT__PORT_INFO__PORT_SELECTION_RANGE &&
		info->range->start && info->range->end)
		return set_ports(rule, info->range->start, info->range->end);
	if (!*in->port)
		return true;
	if (!g_ascii_isdigit(*in->port) || strlen(in->port) > 5)
		return false;
	port = strtoul(in->port, &end, 10);
	return !*end && set_ports(rule, (uint32_t)port, (uint32_t)port);
}

/* -- who ------------------------------------------------------------------------------------ */

/* Address and length. IPv4 inside of IPv6 is IPv4. */
static bool source_from_bytes(ProtobufCBinaryData bytes, struct prefix *ret)
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

static void add_from(
	struct update_reading *r, struct filter_rule rule, const struct prefix *source)
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

static void source_unreadable(struct update_reading *r, const Management__FirewallRule *in)
{
	r->drop_all |= in->action != MANAGEMENT__RULE_ACTION__ACCEPT;
	update_note(r, "a rule for %s: its source cannot be read", in->peerip);
}

static void add_from_all(struct update_reading *r, const Management__FirewallRule *in,
	const struct filter_rule *rule)
{
	struct prefix source;

	for (size_t i = 0; i < in->n_sourceprefixes; i++)
		if (source_from_bytes(in->sourceprefixes[i], &source))
			add_from(r, *rule, &source);
		else
			source_unreadable(r, in);
	if (in->n_sourceprefixes)
		return;
	if (prefix_parse(in->peerip, strlen(in->peerip), &source) == 0)
		add_from(r, *rule, &source);
	else
		source_unreadable(r, in);
}

/* -- what ----------------------------------------------------------------------------------- */

/* False: it is nothing that a rule of ours can say. */
static bool read_what(const Management__FirewallRule *in, struct filter_rule *rule)
{
	switch ((unsigned)in->protocol) {
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
	if (!read_ports(in, rule))
		return false;
	return rule->protocol != IPPROTO_ICMP || !rule->first_port;
}

void update_read_rule(struct update_reading *r, struct wire_bytes bytes)
{
	const Management__FirewallRule *in = management__firewall_rule__unpack(
		update_arena(r), bytes.len, bytes.data);
	struct filter_rule rule = { 0 };

	if (!in) {
		r->drop_all = true;
		return update_note(r, "a rule that cannot be read");
	}
	/* What goes out is never filtered. */
	if (in->direction == MANAGEMENT__RULE_DIRECTION__OUT)
		return;
	rule.drop = in->action != MANAGEMENT__RULE_ACTION__ACCEPT;
	if ((unsigned)in->direction != MANAGEMENT__RULE_DIRECTION__IN ||
		(unsigned)in->action > MANAGEMENT__RULE_ACTION__DROP || !read_what(in, &rule)) {
		update_note(r, "a rule for %s cannot be expressed: %s", in->peerip,
			rule.drop ? "everything from there is dropped" : "left out");
		if (!rule.drop)
			return;
		rule = (struct filter_rule){ .drop = true };
	}
	add_from_all(r, in, &rule);
}

/* -- the whole ------------------------------------------------------------------------------ */

static int rule_order(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct filter_rule));
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
