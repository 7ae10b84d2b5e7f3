/* netlink/wg_build.c - requests to WireGuard, written straight into the caller's buffer. */
#include <linux/wireguard.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

#include "netlink/wg_wire.h"

/* Ten thousand peers are programmed at once: so no checked layers here. WG_MSG_MAX is the proof
 * that everything fits, and all lengths are known to the compiler. `at` always is a multiple of
 * four. */

static inline uint8_t *put_attr(uint8_t *at, uint16_t type, const void *data, uint16_t len)
{
	const struct nlattr a = { sizeof(a) + len, type };

	memcpy(at, &a, sizeof(a));
	memcpy(at + sizeof(a), data, len);
	return at + sizeof(a) + len;
}

static inline uint8_t *put_u32(uint8_t *at, uint16_t type, uint32_t value)
{
	return put_attr(at, type, &value, sizeof(value));
}

static inline uint8_t *put_u16(uint8_t *at, uint16_t type, uint16_t value)
{
	const uint16_t padded[2] = { value };
	const struct nlattr a = { sizeof(a) + sizeof(value), type };

	memcpy(at, &a, sizeof(a));
	memcpy(at + sizeof(a), padded, sizeof(padded));
	return at + sizeof(a) + sizeof(padded);
}

static inline uint8_t *put_u8(uint8_t *at, uint16_t type, uint8_t value)
{
	const uint8_t padded[4] = { value };
	const struct nlattr a = { sizeof(a) + sizeof(value), type };

	memcpy(at, &a, sizeof(a));
	memcpy(at + sizeof(a), padded, sizeof(padded));
	return at + sizeof(a) + sizeof(padded);
}

static inline void set_nest(uint8_t *nest, const uint8_t *end, uint16_t type)
{
	const struct nlattr a = { (uint16_t)(end - nest), type | NLA_F_NESTED };

	memcpy(nest, &a, sizeof(a));
}

/* -- headers -------------------------------------------------------------------------------- */

void wg_head_init(struct wg_head *head, uint16_t family, unsigned ifindex)
{
	*head = (struct wg_head){
		.nlh = { .nlmsg_type = family },
		.genl = { .cmd = WG_CMD_SET_DEVICE, .version = WG_GENL_VERSION },
		.ifindex_attr = { sizeof(struct nlattr) + sizeof(uint32_t), WGDEVICE_A_IFINDEX },
		.ifindex = ifindex,
		.peers_attr = { .nla_type = WGDEVICE_A_PEERS | NLA_F_NESTED },
		.peer_attr = { .nla_type = NLA_F_NESTED },
		.key_attr = { sizeof(struct nlattr) + sizeof(struct wg_key), WGPEER_A_PUBLIC_KEY },
	};
}

static uint8_t *put_device_head(const struct wg_head *head, uint8_t cmd, uint8_t *buf)
{
	const size_t len = offsetof(struct wg_head, peers_attr);

	memcpy(buf, head, len);
	((struct wg_head *)buf)->genl.cmd = cmd;
	return buf + len;
}

static size_t finish(uint8_t *buf, const uint8_t *end)
{
	((struct nlmsghdr *)buf)->nlmsg_len = (uint32_t)(end - buf);
	return (size_t)(end - buf);
}

size_t wg_build_get(const struct wg_head *head, void *buf)
{
	return finish(buf, put_device_head(head, WG_CMD_GET_DEVICE, buf));
}

size_t wg_build_device(const struct wg_head *head, const struct wg_device_config *config, void *buf)
{
	uint8_t *at = put_device_head(head, WG_CMD_SET_DEVICE, buf);

	if (config->replace_peers)
		at = put_u32(at, WGDEVICE_A_FLAGS, WGDEVICE_F_REPLACE_PEERS);
	if (config->private_key)
		at = put_attr(at, WGDEVICE_A_PRIVATE_KEY, config->private_key->b, WG_KEY_LEN);
	if (config->listen_port >= 0)
		at = put_u16(at, WGDEVICE_A_LISTEN_PORT, (uint16_t)config->listen_port);
	if (config->fwmark >= 0)
		at = put_u32(at, WGDEVICE_A_FWMARK, (uint32_t)config->fwmark);
	return finish(buf, at);
}

/* -- peers ---------------------------------------------------------------------------------- */

static uint8_t *put_endpoint(uint8_t *at, const struct endpoint *e)
{
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
	struct sockaddr_in v4 = { .sin_family = AF_INET };

	if (e->family == AF_INET) {
		v4.sin_port = htons(e->port);
		memcpy(&v4.sin_addr, e->addr, sizeof(v4.sin_addr));
		return put_attr(at, WGPEER_A_ENDPOINT, &v4, sizeof(v4));
	}
	v6.sin6_port = htons(e->port);
	v6.sin6_scope_id = e->scope;
	memcpy(&v6.sin6_addr, e->addr, sizeof(v6.sin6_addr));
	return put_attr(at, WGPEER_A_ENDPOINT, &v6, sizeof(v6));
}

static inline uint8_t *put_prefix(uint8_t *at, const struct prefix *p)
{
	uint8_t *nest = at;

	at = put_u16(at + sizeof(struct nlattr), WGALLOWEDIP_A_FAMILY, p->family);
	if (p->family == AF_INET)
		at = put_attr(at, WGALLOWEDIP_A_IPADDR, p->addr, 4);
	else
		at = put_attr(at, WGALLOWEDIP_A_IPADDR, p->addr, 16);
	at = put_u8(at, WGALLOWEDIP_A_CIDR_MASK, p->bits);
	set_nest(nest, at, 0);
	return at;
}

static uint8_t *put_prefixes(uint8_t *at, const struct wg_peer_config *peer, size_t from)
{
	uint8_t *nest = at;
	size_t end = peer->n_allowed;

	if (from >= end)
		return at;
	if (end > from + WG_PREFIXES_PER_MSG)
		end = from + WG_PREFIXES_PER_MSG;
	at += sizeof(struct nlattr);
	for (size_t i = from; i < end; i++)
		at = put_prefix(at, &peer->allowed[i]);
	set_nest(nest, at, WGPEER_A_ALLOWEDIPS);
	return at;
}

/* What comes behind the first message only adds prefixes to the peer that this one made. */
static uint32_t peer_flags(const struct wg_peer_config *peer, size_t from)
{
	if (peer->remove)
		return WGPEER_F_REMOVE_ME;
	if (from > 0)
		return WGPEER_F_UPDATE_ONLY;
	return (peer->update_only ? WGPEER_F_UPDATE_ONLY : 0) |
		(peer->replace_allowed ? WGPEER_F_REPLACE_ALLOWEDIPS : 0);
}

static uint8_t *put_settings(uint8_t *at, const struct wg_peer_config *peer)
{
	if (peer->preshared_key)
		at = put_attr(at, WGPEER_A_PRESHARED_KEY, peer->preshared_key->b, WG_KEY_LEN);
	if (peer->endpoint && peer->endpoint->family)
		at = put_endpoint(at, peer->endpoint);
	if (peer->keepalive >= 0)
		at = put_u16(at, WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL, (uint16_t)peer->keepalive);
	return at;
}

size_t wg_build_peer(
	const struct wg_head *head, const struct wg_peer_config *peer, size_t from, void *buf)
{
	struct wg_head *out = buf;
	uint32_t flags = peer_flags(peer, from);
	uint8_t *at = (uint8_t *)(out + 1);

	*out = *head;
	out->key = peer->public_key;
	if (flags)
		at = put_u32(at, WGPEER_A_FLAGS, flags);
	if (!peer->remove) {
		if (from == 0)
			at = put_settings(at, peer);
		at = put_prefixes(at, peer, from);
	}
	out->peers_attr.nla_len = (uint16_t)(at - (uint8_t *)&out->peers_attr);
	out->peer_attr.nla_len = (uint16_t)(at - (uint8_t *)&out->peer_attr);
	return finish(buf, at);
}
