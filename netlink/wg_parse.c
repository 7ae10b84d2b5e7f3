/* netlink/wg_parse.c - a device's dump, message by message. One switch per level of nesting. */
#include <errno.h>
#include <glib.h>
#include <linux/time_types.h>
#include <linux/wireguard.h>
#include <string.h>
#include <sys/socket.h>

#include "netlink/attr.h"
#include "netlink/wg_wire.h"

/* -- allowed IPs ---------------------------------------------------------------------------- */

static int parse_prefix(const struct nlattr *nest, struct prefix *ret)
{
	const struct nlattr *table[WGALLOWEDIP_A_CIDR_MASK + 1];
	struct prefix p = { 0 };
	uint16_t family;

	if (attr_sort(attr_walk_nested(nest), table, G_N_ELEMENTS(table)) < 0 ||
		!attr_copy(table[WGALLOWEDIP_A_FAMILY], &family, sizeof(family)) ||
		!attr_copy(table[WGALLOWEDIP_A_CIDR_MASK], &p.bits, sizeof(p.bits)))
		return -EPROTO;
	if (family != AF_INET && family != AF_INET6)
		return -EPROTO;
	p.family = (uint8_t)family;
	if (p.bits > prefix_width(&p) ||
		!attr_copy(table[WGALLOWEDIP_A_IPADDR], p.addr, prefix_width(&p) / 8))
		return -EPROTO;
	*ret = p;
	return 0;
}

static int parse_prefixes(struct wg_parse *parse, const struct nlattr *nest)
{
	struct attr_walk w = attr_walk_nested(nest);
	size_t n = parse->peer.n_allowed;
	const struct nlattr *a;
	int r;

	while ((a = attr_next(&w))) {
		if (n == WG_ALLOWED_MAX)
			return -E2BIG;
		if (n == parse->capacity) {
			parse->capacity = MAX(64, 2 * n);
			parse->allowed = g_renew(struct prefix, parse->allowed, parse->capacity);
		}
		r = parse_prefix(a, &parse->allowed[n++]);
		if (r < 0)
			return r;
	}
	parse->peer.n_allowed = n;
	return w.left ? -EPROTO : 0;
}

/* -- peers ---------------------------------------------------------------------------------- */

static int parse_endpoint(const struct nlattr *a, struct endpoint *ret)
{
	int r = endpoint_from_sockaddr(attr_data(a), attr_len(a), ret);

	return r < 0 ? -EPROTO : 0;
}

static int parse_handshake(const struct nlattr *a, struct wg_peer_status *peer)
{
	struct __kernel_timespec time;

	if (!attr_copy(a, &time, sizeof(time)))
		return -EPROTO;
	peer->last_handshake_s = time.tv_sec;
	peer->last_handshake_nsec = time.tv_nsec;
	return 0;
}

static int parse_peer_attr(struct wg_parse *parse, const struct nlattr *a)
{
	struct wg_peer_status *peer = &parse->peer;
	bool good = true;

	switch (attr_type(a)) {
	case WGPEER_A_PRESHARED_KEY:
		good = attr_copy(a, &peer->preshared_key, sizeof(peer->preshared_key));
		break;
	case WGPEER_A_ENDPOINT:
		return parse_endpoint(a, &peer->endpoint);
	case WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL:
		good = attr_copy(a, &peer->keepalive, sizeof(peer->keepalive));
		break;
	case WGPEER_A_LAST_HANDSHAKE_TIME:
		return parse_handshake(a, peer);
	case WGPEER_A_RX_BYTES:
		good = attr_copy(a, &peer->rx_bytes, sizeof(peer->rx_bytes));
		break;
	case WGPEER_A_TX_BYTES:
		good = attr_copy(a, &peer->tx_bytes, sizeof(peer->tx_bytes));
		break;
	case WGPEER_A_ALLOWEDIPS:
		return parse_prefixes(parse, a);
	default:
		break;
	}
	return good ? 0 : -EPROTO;
}

static int hand_out(struct wg_parse *parse)
{
	int r = 0;

	if (!parse->has_peer)
		return 0;
	parse->has_peer = false;
	parse->peer.allowed = parse->allowed;
	if (parse->peer_fn)
		r = parse->peer_fn(&parse->peer, parse->user);
	key_wipe(&parse->peer.preshared_key);
	return r;
}

/* Makes the peer with this key the current one. */
static int begin_peer(struct wg_parse *parse, const struct nlattr *nest)
{
	struct attr_walk w = attr_walk_nested(nest);
	const struct nlattr *a;
	struct wg_key key;
	int r;

	/* It is the first attribute in every kernel so far, so this search costs nothing. */
	while ((a = attr_next(&w)) && attr_type(a) != WGPEER_A_PUBLIC_KEY)
		;
	if (!attr_copy(a, &key, sizeof(key)))
		return -EPROTO;
	if (parse->has_peer && key_is_same(&key, &parse->peer.public_key))
		return 0;
	r = hand_out(parse);
	if (r)
		return r;
	memset(&parse->peer, 0, sizeof(parse->peer));
	parse->peer.public_key = key;
	parse->has_peer = true;
	return 0;
}

static int parse_peers(struct wg_parse *parse, const struct nlattr *nest)
{
	struct attr_walk peers = attr_walk_nested(nest), w;
	const struct nlattr *peer, *a;
	int r;

	while ((peer = attr_next(&peers))) {
		r = begin_peer(parse, peer);
		if (r)
			return r;
		w = attr_walk_nested(peer);
		while ((a = attr_next(&w))) {
			r = parse_peer_attr(parse, a);
			if (r < 0)
				return r;
		}
		if (w.left)
			return -EPROTO;
	}
	return peers.left ? -EPROTO : 0;
}

/* -- the device ----------------------------------------------------------------------------- */

static bool parse_device_attr(const struct nlattr *a, struct wg_device_status *device)
{
	switch (attr_type(a)) {
	case WGDEVICE_A_IFINDEX:
		return attr_copy(a, &device->ifindex, sizeof(device->ifindex));
	case WGDEVICE_A_PRIVATE_KEY:
		return attr_copy(a, &device->private_key, sizeof(device->private_key));
	case WGDEVICE_A_PUBLIC_KEY:
		return attr_copy(a, &device->public_key, sizeof(device->public_key));
	case WGDEVICE_A_LISTEN_PORT:
		return attr_copy(a, &device->listen_port, sizeof(device->listen_port));
	case WGDEVICE_A_FWMARK:
		return attr_copy(a, &device->fwmark, sizeof(device->fwmark));
	default:
		return true;
	}
}

/* Only the first message has the device's settings, and they stand before its peers. */
static int parse_device(struct wg_parse *parse, struct attr_walk w)
{
	struct wg_device_status device = { 0 };
	const struct nlattr *a;
	int r = 0;

	while (r == 0 && (a = attr_next(&w)))
		r = parse_device_attr(a, &device) ? 0 : -EPROTO;
	if (r == 0 && (w.left || !device.ifindex))
		r = -EPROTO;
	if (r == 0 && parse->device_fn)
		r = parse->device_fn(&device, parse->user);
	key_wipe(&device.private_key);
	return r;
}

int wg_parse_message(struct wg_parse *parse, const struct nlmsghdr *nlh)
{
	struct attr_walk w = attr_walk_message(nlh, GENL_HDRLEN);
	const struct nlattr *a;
	int r;

	if (nlh->nlmsg_len < NLMSG_LENGTH(GENL_HDRLEN))
		return -EPROTO;
	if (!parse->has_device) {
		r = parse_device(parse, w);
		if (r)
			return r;
		parse->has_device = true;
	}
	while ((a = attr_next(&w))) {
		if (attr_type(a) != WGDEVICE_A_PEERS)
			continue;
		r = parse_peers(parse, a);
		if (r)
			return r;
	}
	return w.left ? -EPROTO : 0;
}

int wg_parse_end(struct wg_parse *parse)
{
	return parse->has_device ? hand_out(parse) : -EPROTO;
}

void wg_parse_clear(struct wg_parse *parse)
{
	key_wipe(&parse->peer.preshared_key);
	g_free(parse->allowed);
	memset(parse, 0, sizeof(*parse));
}
