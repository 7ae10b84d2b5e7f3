/* netlink/wg.c - programs and reads kernel WireGuard devices. */
#include "netlink/wg.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "netlink/nl.h"
#include "netlink/wg_wire.h"

enum { BATCH_BYTES = 65536 };

struct wg {
	struct nl *nl;
	uint16_t family;
	_Alignas(NLMSG_ALIGNTO) uint8_t buf[BATCH_BYTES];
};

/* Requests that lie in wg->buf. */
struct batch {
	struct wg *wg;
	int *results; /* of peers */
	size_t len, n;
	bool has_secrets;
	size_t owner[NL_BATCH_MAX]; /* the peer that each request is about */
};

int wg_open(struct wg **ret)
{
	g_autofree struct wg *wg = g_new0(struct wg, 1);
	int r = nl_open(NETLINK_GENERIC, &wg->nl);

	if (r < 0)
		return r;
	r = nl_family(wg->nl, "wireguard", &wg->family);
	if (r < 0) {
		nl_close(wg->nl);
		return r;
	}
	*ret = g_steal_pointer(&wg);
	return 0;
}

void wg_close(struct wg *wg)
{
	if (!wg)
		return;
	nl_close(wg->nl);
	g_free(wg);
}

const char *wg_error_text(const struct wg *wg)
{
	return nl_error_text(wg->nl);
}

int wg_set_device(struct wg *wg, unsigned ifindex, const struct wg_device_config *config)
{
	struct wg_head head;
	size_t len;
	int r;

	wg_head_init(&head, wg->family, ifindex);
	len = wg_build_device(&head, config, wg->buf);
	r = nl_call(wg->nl, (struct nlmsghdr *)wg->buf, NULL, NULL);
	explicit_bzero(wg->buf, len);
	return r;
}

/* -- peers ---------------------------------------------------------------------------------- */

static int flush(struct batch *b)
{
	int outcomes[NL_BATCH_MAX], r;

	if (!b->n)
		return 0;
	r = nl_batch(b->wg->nl, b->wg->buf, b->len, b->n, outcomes);
	for (size_t i = 0; i < b->n && r == 0; i++)
		if (outcomes[i] && !b->results[b->owner[i]])
			b->results[b->owner[i]] = outcomes[i];
	if (b->has_secrets)
		explicit_bzero(b->wg->buf, b->len);
	b->len = b->n = 0;
	b->has_secrets = false;
	return r;
}

static int add_peer(struct batch *b, const struct wg_head *head, const struct wg_peer_config *peer,
	size_t index)
{
	size_t from = 0;
	int r;

	do {
		if (b->n == NL_BATCH_MAX || b->len + WG_MSG_MAX > BATCH_BYTES) {
			r = flush(b);
			if (r < 0)
				return r;
		}
		b->len += wg_build_peer(head, peer, from, b->wg->buf + b->len);
		b->owner[b->n++] = index;
		b->has_secrets |= peer->preshared_key != NULL;
		from += WG_PREFIXES_PER_MSG;
	} while (from < peer->n_allowed && !peer->remove);
	return 0;
}

int wg_set_peers(
	struct wg *wg, unsigned ifindex, const struct wg_peer_config *peers, size_t n, int *results)
{
	struct batch b = { .wg = wg, .results = results };
	struct wg_head head;
	int r;

	wg_head_init(&head, wg->family, ifindex);
	memset(results, 0, n * sizeof(*results));
	for (size_t i = 0; i < n; i++) {
		r = add_peer(&b, &head, &peers[i], i);
		if (r < 0)
			return r;
	}
	return flush(&b);
}

/* -- reading -------------------------------------------------------------------------------- */

static int take_message(const struct nlmsghdr *nlh, void *user)
{
	return wg_parse_message(user, nlh);
}

int wg_read(struct wg *wg, unsigned ifindex, wg_device_fn device_fn, wg_peer_fn peer_fn, void *user)
{
	struct wg_parse parse = { .device_fn = device_fn, .peer_fn = peer_fn, .user = user };
	struct wg_head head;
	int r;

	wg_head_init(&head, wg->family, ifindex);
	wg_build_get(&head, wg->buf);
	r = nl_dump(wg->nl, (struct nlmsghdr *)wg->buf, take_message, &parse);
	if (r == 0)
		r = wg_parse_end(&parse);
	nl_wipe(wg->nl);
	wg_parse_clear(&parse);
	return r;
}
