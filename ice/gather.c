/* ice/gather.c - chooses among this host's addresses. */
#include "ice/gather.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

/* First what the reference has, then more container networks. */
const char *const gather_default_blacklist[] = { "wt", "utun", "tun0", "zt", "ZeroTier", "wg", "ts",
	"Tailscale", "tailscale", "docker", "veth", "br-", "lo", "cni", "flannel", "cali", "podman",
	"lxc", "lxdbr", "virbr", NULL };

/* -- which ---------------------------------------------------------------------------------- */

static bool is_listed(const char *const *names, const char *ifname)
{
	for (; *names; names++)
		if (g_str_has_prefix(ifname, *names))
			return true;
	return false;
}

static bool is_in(const struct prefix *nets, size_t n, const struct prefix *address)
{
	for (size_t i = 0; i < n; i++)
		if (prefix_contains(&nets[i], address))
			return true;
	return false;
}

static bool is_chosen(const struct gather_policy *policy, const struct gather_address *a)
{
	/* Of IPv6 also what is IPv4 in disguise, and the old site-local ones. */
	static const struct prefix never[] = { { AF_INET, 8, { 0 } }, { AF_INET, 8, { 127 } },
		{ AF_INET, 16, { 169, 254 } }, { AF_INET, 3, { 224 } }, { AF_INET6, 96, { 0 } },
		{ AF_INET6, 10, { 0xfe, 0x80 } }, { AF_INET6, 10, { 0xfe, 0xc0 } },
		{ AF_INET6, 8, { 0xff } } };
	const char *const *names = policy->blacklist ? policy->blacklist : gather_default_blacklist;

	return a->is_up && !a->is_wireguard && !g_str_has_prefix(a->ifname, "lo") &&
		!is_listed(names, a->ifname) && !is_in(never, G_N_ELEMENTS(never), &a->address) &&
		!is_in(policy->overlay, policy->n_overlay, &a->address);
}

/* -- as what -------------------------------------------------------------------------------- */

static bool is_for_all(const struct gather_map *map)
{
	return !map->local.family && !map->ifname[0];
}

int gather_map_parse(const char *text, size_t len, struct gather_map *ret)
{
	const char *slash = memchr(text, '/', len), *rest = slash ? slash + 1 : NULL;
	size_t rest_len = slash ? (size_t)(text + len - rest) : 0;
	struct gather_map map = { .ifname = "" };

	if (prefix_parse(text, slash ? (size_t)(slash - text) : len, &map.external) < 0 ||
		(slash && !rest_len))
		return -EINVAL;
	if (slash && prefix_parse(rest, rest_len, &map.local) < 0) {
		if (!gather_name_is_good(rest, rest_len) || map.external.family != AF_INET)
			return -EINVAL;
		memcpy(map.ifname, rest, rest_len);
		if (!map.ifname[strspn(map.ifname, "0123456789")])
			return -EINVAL; /* meant as a length */
	}
	if (map.local.family &&
		(map.local.family != map.external.family || !prefix_is_host(&map.local)))
		return -EINVAL;
	*ret = map;
	return 0;
}

bool gather_name_is_good(const char *text, size_t len)
{
	if (len < 1 || len >= IFNAMSIZ)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!g_ascii_isgraph(text[i]) || text[i] == '/')
			return false;
	return true;
}

bool gather_maps_are_good(const struct gather_map *maps, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < i; j++)
			if (is_for_all(&maps[i]) && is_for_all(&maps[j]) &&
				maps[i].external.family == maps[j].external.family)
				return false;
	return true;
}

static const struct gather_address *first_ipv4(
	const struct gather_address *addresses, size_t n, const char *ifname)
{
	for (size_t i = 0; i < n; i++)
		if (addresses[i].address.family == AF_INET && !strcmp(addresses[i].ifname, ifname))
			return &addresses[i];
	return NULL;
}

/* Its own map goes before the one for all. */
static struct prefix announced(const struct gather_policy *policy,
	const struct gather_address *addresses, size_t n, const struct gather_address *a)
{
	struct prefix ret = { 0 };

	if (!policy->n_maps)
		return a->address;
	for (size_t i = 0; i < policy->n_maps; i++) {
		const struct gather_map *map = &policy->maps[i];

		if (map->ifname[0] ? first_ipv4(addresses, n, map->ifname) == a
				   : prefix_is_same(&map->local, &a->address))
			return map->external;
		if (is_for_all(map) && map->external.family == a->address.family)
			ret = map->external;
	}
	return ret;
}

size_t gather_locals(const struct gather_policy *policy, const struct gather_address *addresses,
	size_t n, struct ice_local ret[static GATHER_MAX])
{
	size_t chosen = 0;

	for (size_t i = 0; i < n && chosen < GATHER_MAX; i++) {
		if (!is_chosen(policy, &addresses[i]))
			continue;
		ret[chosen].address = addresses[i].address;
		ret[chosen++].announced = announced(policy, addresses, n, &addresses[i]);
	}
	return chosen;
}
