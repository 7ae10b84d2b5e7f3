/* agent/cli/tune_peers.c - the peers of a WireGuard interface and where they really are. */
#include "agent/cli/tune_peers.h"

#include <errno.h>
#include <string.h>

#include "agent/base/jwrite.h"
#include "agent/base/key.h"
#include "agent/cli/client.h"
#include "agent/tune/knob.h"
#include "netlink/link.h"
#include "netlink/nl.h"
#include "netlink/wg.h"

static void free_peer(gpointer data)
{
	struct tune_peer *peer = data;

	g_free(peer->name);
	g_ptr_array_unref(peer->addresses);
	g_free(peer);
}

void tune_peers_clear(struct tune_peers *peers)
{
	g_clear_pointer(&peers->list, g_ptr_array_unref);
}

static struct tune_peer *add_peer(struct tune_peers *peers, const char *name)
{
	struct tune_peer *peer = g_new0(struct tune_peer, 1);

	peer->name = g_strdup(name);
	peer->addresses = g_ptr_array_new_with_free_func(g_free);
	g_ptr_array_add(peers->list, peer);
	return peer;
}

/* -- from the daemon ------------------------------------------------------------------------- */

json_t *tune_ask_daemon(const struct options *o, const char *command)
{
	struct failure f;

	return client_ask_parsed(o, client_request(command), &f);
}

static void take_peer(struct tune_peers *peers, const json_t *json)
{
	struct tune_peer *peer = add_peer(peers, get_text(json, "name"));
	const json_t *addresses = json_object_get(json, "addresses");
	const json_t *first = json_array_get(json_object_get(json, "candidates"), 0);
	const char *endpoint = json_string_value(first);

	for (size_t i = 0; i < json_array_size(addresses); i++)
		if (json_is_string(json_array_get(addresses, i)))
			g_ptr_array_add(peer->addresses,
				g_strdup(json_string_value(json_array_get(addresses, i))));
	if (endpoint)
		endpoint_parse(endpoint, strlen(endpoint), &peer->endpoint);
}

/* False: no daemon answers, or its interface is another one. */
static bool from_daemon(const struct options *o, const char *iface, struct tune_peers *ret)
{
	json_t *status = tune_ask_daemon(o, "status"), *peers = NULL;
	const json_t *link = json_object_get(status, "interface"), *list;
	const char *name = get_text(link, "name");

	if (*name && (!iface || !strcmp(iface, name)))
		peers = tune_ask_daemon(o, "peers");
	if (peers) {
		g_strlcpy(ret->interface, name, sizeof(ret->interface));
		ret->owned = true;
		ret->mtu = (uint32_t)get_int(link, "mtu");
		ret->measured = get_int(link, "measured_mtu") > 0;
		list = json_object_get(peers, "peers");
		for (size_t i = 0; i < json_array_size(list); i++)
			take_peer(ret, json_array_get(list, i));
	}
	json_decref(status);
	json_decref(peers);
	return ret->owned;
}

/* -- from the kernel ------------------------------------------------------------------------- */

static int take_device(const struct wg_device_status *device, void *user)
{
	((struct tune_peers *)user)->mark = device->fwmark;
	return 0;
}

static int take_status(const struct wg_peer_status *status, void *user)
{
	char key[KEY_STRLEN], text[PREFIX_STRLEN];
	struct tune_peer *peer = add_peer(user, key_format(&status->public_key, key));

	for (size_t i = 0; i < status->n_allowed; i++)
		g_ptr_array_add(
			peer->addresses, g_strdup(prefix_format(&status->allowed[i], text)));
	peer->endpoint = status->endpoint;
	return 0;
}

static int ignore_status(const struct wg_peer_status *status, void *user)
{
	return 0;
}

struct search {
	const char *iface; /* NULL: any */
	struct link_info link;
	GPtrArray *names; /* of all */
	bool found;
};

static int note_link(const struct link_info *link, void *user)
{
	struct search *s = user;

	g_ptr_array_add(s->names, g_strdup(link->name));
	if (s->iface && strcmp(s->iface, link->name))
		return 0;
	s->link = *link;
	s->found = true;
	return 0;
}

static enum exit_code explain_search(struct search *s, struct failure *f)
{
	if (!s->names->len)
		return failure_set(f, s->iface ? EXIT_USAGE : EXIT_NOT_APPLICABLE, NULL,
			"there is no WireGuard interface");
	if (!s->iface)
		return failure_set(f, EXIT_USAGE, "--iface says which",
			"there are several WireGuard interfaces");
	g_ptr_array_add(s->names, NULL);
	return failure_set(f, EXIT_USAGE, NULL,
		"there is no WireGuard interface '%s'; the nearest is %s", s->iface,
		nearest_name(s->iface, (const char *const *)s->names->pdata));
}

static enum exit_code find_link(const char *iface, struct link_info *ret, struct failure *f)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	struct search s = { .iface = iface, .names = names };
	struct nl *nl;
	int r = nl_open(NETLINK_ROUTE, &nl);

	if (r < 0)
		return failure_set(f, EXIT_FAILED, NULL, "netlink: %s", strerror(-r));
	r = link_foreach(nl, "wireguard", note_link, &s);
	nl_close(nl);
	if (r < 0)
		return failure_set(f, EXIT_FAILED, NULL, "cannot look for it: %s", strerror(-r));
	*ret = s.link;
	return s.found && (iface || names->len == 1) ? EXIT_OK : explain_search(&s, f);
}

/* The daemon's wire does not carry the mark, so the kernel is asked for it in any case. */
static int read_kernel(unsigned index, bool peers, struct tune_peers *ret)
{
	struct wg *wg;
	int r = wg_open(&wg);

	if (r < 0)
		return r;
	r = wg_read(wg, index, take_device, peers ? take_status : ignore_status, ret);
	wg_close(wg);
	return r;
}

enum exit_code tune_peers_find(
	const struct options *o, const char *iface, struct tune_peers *ret, struct failure *f)
{
	struct link_info link = { 0 };
	enum exit_code code;
	int r;

	ret->list = g_ptr_array_new_with_free_func(free_peer);
	from_daemon(o, iface, ret);
	code = find_link(ret->owned ? ret->interface : iface, &link, f);
	if (code != EXIT_OK)
		return code;
	g_strlcpy(ret->interface, link.name, sizeof(ret->interface));
	ret->mtu = link.mtu;
	r = read_kernel(link.index, !ret->owned, ret);
	if (r == -EPERM)
		return failure_set(f, EXIT_PERMISSION, "try it as root",
			"%s: reading WireGuard's peers is not permitted", link.name);
	if (r < 0)
		return failure_set(f, EXIT_FAILED, NULL, "%s: %s", link.name, strerror(-r));
	return EXIT_OK;
}

/* -- search ---------------------------------------------------------------------------------- */

/* "10.0.0.1" is 10.0.0.1/32 is in 10.0.0.0/24. */
static bool has_address(const struct tune_peer *peer, const struct prefix *wanted)
{
	for (guint i = 0; i < peer->addresses->len; i++) {
		const char *text = g_ptr_array_index(peer->addresses, i);
		struct prefix p;

		if (prefix_parse(text, strlen(text), &p) == 0 && prefix_contains(&p, wanted))
			return true;
	}
	return peer->endpoint.family == wanted->family &&
		!memcmp(peer->endpoint.addr, wanted->addr, wanted->family == AF_INET ? 4 : 16);
}

const struct tune_peer *tune_peers_match(const struct tune_peers *peers, const char *word)
{
	struct prefix wanted;
	bool is_address = prefix_parse(word, strlen(word), &wanted) == 0;

	for (guint i = 0; i < peers->list->len; i++) {
		const struct tune_peer *peer = g_ptr_array_index(peers->list, i);

		if (!strcmp(peer->name, word) || (is_address && has_address(peer, &wanted)))
			return peer;
	}
	return NULL;
}
