/* tests/sim/model_nft.c - our nftables table: its sets, and what its rules do with packets. */
#include "tests/sim/model_nft.h"

#include <errno.h>
#include <string.h>

/* Who has sent so many is not soon as far again. */
enum { MANY = 200 };

enum { WG_INITIATION = 1, WG_RESPONSE = 2, WG_COOKIE = 3 };

struct counted {
	struct nft_range range;
	uint64_t packets, read; /* now, and when they were last read */
};

struct remembered {
	struct endpoint endpoint;
	int64_t until_us;
};

static void free_acl(void *data)
{
	struct model_acl *acl = data;

	g_array_unref(acl->rules);
	g_free(acl);
}

void model_nft_init(struct model_nft *nft)
{
	nft->acls = g_ptr_array_new_with_free_func(free_acl);
	nft->counted = g_array_new(FALSE, FALSE, sizeof(struct counted));
	nft->told = g_array_new(FALSE, FALSE, sizeof(struct remembered));
	nft->watching = g_array_new(FALSE, FALSE, sizeof(struct remembered));
	nft->refused = g_array_new(FALSE, FALSE, sizeof(struct remembered));
	nft->heard = g_array_new(FALSE, FALSE, sizeof(struct remembered));
	nft->steered = g_array_new(FALSE, FALSE, sizeof(struct steer_ufrag));
	nft->fingerprint = 1;
}

void model_nft_done(struct model_nft *nft)
{
	g_ptr_array_unref(nft->acls);
	g_array_unref(nft->steered);
	g_array_unref(nft->counted);
	g_array_unref(nft->told);
	g_array_unref(nft->watching);
	g_array_unref(nft->refused);
	g_array_unref(nft->heard);
}

void model_nft_flush(struct model_nft *nft)
{
	GArray *const sets[] = { nft->counted, nft->told, nft->watching, nft->refused, nft->heard };

	for (size_t i = 0; i < G_N_ELEMENTS(sets); i++)
		g_array_set_size(sets[i], 0);
	nft->table[0] = '\0';
	memset(&nft->lazy, 0, sizeof(nft->lazy));
	nft->fingerprint++;
}

void model_nft_reset(struct model_nft *nft)
{
	for (guint i = 0; i < nft->counted->len; i++) {
		struct counted *c = &g_array_index(nft->counted, struct counted, i);

		if (c->read >= MANY)
			c->packets = 0;
	}
}

int model_nft_apply(struct model_nft *nft, const struct nft_config *config)
{
	const struct nft_lazy *lazy = &config->lazy;

	if ((lazy->untracked && nft->lacks.untracked) || (lazy->logs && nft->lacks.logs) ||
		(lazy->refuses && nft->lacks.refuses) || (lazy->counts && nft->lacks.counts))
		return -EOPNOTSUPP;
	model_nft_flush(nft);
	g_strlcpy(nft->table, config->table, sizeof(nft->table));
	nft->ifindex = config->ifindex;
	nft->lazy = *lazy;
	return 0;
}

/* -- what may come in ----------------------------------------------------------------------- */

struct model_acl *model_acl_find(const struct model_nft *nft, const char *table)
{
	for (guint i = 0; i < nft->acls->len; i++) {
		struct model_acl *acl = nft->acls->pdata[i];

		if (!strcmp(acl->table, table))
			return acl;
	}
	return NULL;
}

struct model_acl *model_acl_of(const struct model_nft *nft, const char *ifname)
{
	for (guint i = 0; i < nft->acls->len; i++) {
		struct model_acl *acl = nft->acls->pdata[i];

		if (!strcmp(acl->ifname, ifname))
			return acl;
	}
	return NULL;
}

void model_acl_remove(struct model_nft *nft, struct model_acl *acl)
{
	if (acl)
		g_ptr_array_remove_fast(nft->acls, acl);
}

void model_acl_apply(struct model_nft *nft, const struct acl_config *config)
{
	struct model_acl *acl = g_new0(struct model_acl, 1);

	model_acl_remove(nft, model_acl_find(nft, config->table));
	g_strlcpy(acl->table, config->table, sizeof(acl->table));
	g_strlcpy(acl->ifname, config->ifname, sizeof(acl->ifname));
	acl->rules = g_array_new(FALSE, FALSE, sizeof(struct filter_rule));
	if (config->n_rules)
		g_array_append_vals(acl->rules, config->rules, (guint)config->n_rules);
	acl->fingerprint = ++nft->acl_fingerprint;
	g_ptr_array_add(nft->acls, acl);
}

/* -- where checks go ------------------------------------------------------------------------- */

void model_steer_apply(struct model_nft *nft, const struct steer_config *config)
{
	g_strlcpy(nft->steer, config->table, sizeof(nft->steer));
	nft->steer_fingerprint++;
	g_array_set_size(nft->steered, 0);
	if (config->n_ufrags)
		g_array_append_vals(nft->steered, config->ufrags, (guint)config->n_ufrags);
}

void model_steer_remove(struct model_nft *nft, const char *table)
{
	if (strcmp(nft->steer, table))
		return;
	nft->steer[0] = '\0';
	g_array_set_size(nft->steered, 0);
}

static int find_steered(const struct model_nft *nft, const char *ufrag)
{
	for (guint i = 0; i < nft->steered->len; i++)
		if (!memcmp(g_array_index(nft->steered, struct steer_ufrag, i).text, ufrag,
			    STEER_UFRAG_LEN))
			return (int)i;
	return -1;
}

bool model_steers(const struct model_nft *nft, const char *ufrag)
{
	return nft->steer[0] && find_steered(nft, ufrag) >= 0;
}

int model_steer_unset(struct model_nft *nft, const char *table, const char *ufrag)
{
	int at = find_steered(nft, ufrag);

	if (strcmp(nft->steer, table))
		return -ENOENT;
	if (at >= 0)
		g_array_remove_index_fast(nft->steered, (guint)at);
	return 0;
}

int model_steer_set(struct model_nft *nft, const char *table, const struct steer_ufrag *ufrag)
{
	int r = model_steer_unset(nft, table, ufrag->text);

	if (r == 0)
		g_array_append_vals(nft->steered, ufrag, 1);
	return r;
}

/* -- elements ------------------------------------------------------------------------------- */

static int find_range(const struct model_nft *nft, const struct nft_range *range)
{
	for (guint i = 0; i < nft->counted->len; i++)
		if (!memcmp(&g_array_index(nft->counted, struct counted, i).range, range,
			    sizeof(*range)))
			return (int)i;
	return -1;
}

static bool overlaps(const struct model_nft *nft, const struct nft_range *range)
{
	for (guint i = 0; i < nft->counted->len; i++) {
		const struct nft_range *have =
			&g_array_index(nft->counted, struct counted, i).range;

		if (have->family == range->family && memcmp(have->first, range->last, 16) <= 0 &&
			memcmp(range->first, have->last, 16) <= 0)
			return true;
	}
	return false;
}

static struct remembered *find(GArray *set, const struct endpoint *endpoint)
{
	for (guint i = 0; i < set->len; i++)
		if (endpoint_is_same(&g_array_index(set, struct remembered, i).endpoint, endpoint))
			return &g_array_index(set, struct remembered, i);
	return NULL;
}

static bool is_in(GArray *set, const struct endpoint *endpoint, int64_t now_us)
{
	const struct remembered *r = find(set, endpoint);

	return r && now_us < r->until_us;
}

static void remember(GArray *set, const struct endpoint *endpoint, int64_t until_us)
{
	struct remembered *r = find(set, endpoint), fresh = { *endpoint, until_us };

	if (r)
		r->until_us = until_us;
	else
		g_array_append_val(set, fresh);
}

/* Either all of it or nothing. */
static int check(const struct model_nft *nft, const char *table, const struct nft_change *c)
{
	if (!nft->table[0] || strcmp(nft->table, table) ||
		(c->n_count + c->n_uncount && !nft->lazy.counts) ||
		(c->n_watch + c->n_refuse && !nft->lazy.refuses))
		return -ENOENT;
	for (size_t i = 0; i < c->n_uncount; i++)
		if (find_range(nft, &c->uncount[i]) < 0)
			return -ENOENT;
	for (size_t i = 0; i < c->n_count; i++)
		if (find_range(nft, &c->count[i]) < 0 && overlaps(nft, &c->count[i]))
			return -EEXIST;
	return 0;
}

int model_nft_change(
	struct model_nft *nft, const char *table, const struct nft_change *c, int64_t now_us)
{
	int r = check(nft, table, c);

	if (r < 0)
		return r;
	for (size_t i = 0; i < c->n_uncount; i++) {
		int at = find_range(nft, &c->uncount[i]);

		if (at < 0)
			return -ENOENT; /* named twice */
		g_array_remove_index_fast(nft->counted, (guint)at);
	}
	for (size_t i = 0; i < c->n_count; i++) {
		struct counted fresh = { .range = c->count[i] };

		if (find_range(nft, &fresh.range) < 0)
			g_array_append_val(nft->counted, fresh);
	}
	for (size_t i = 0; i < c->n_watch; i++)
		remember(nft->watching, &c->watch[i], now_us + NFT_WATCH_MS * 1000);
	for (size_t i = 0; i < c->n_refuse; i++)
		remember(nft->refused, &c->refuse[i], now_us + NFT_REFUSE_MS * 1000);
	return 0;
}

int model_nft_counters(struct model_nft *nft, const char *table, nft_counter_fn fn, void *user)
{
	if (strcmp(nft->table, table) || !nft->lazy.counts)
		return -ENOENT;
	for (guint i = 0; i < nft->counted->len; i++) {
		struct counted *c = &g_array_index(nft->counted, struct counted, i);
		struct prefix first = { .family = c->range.family,
			.bits = c->range.family == AF_INET ? 32 : 128 };

		memcpy(first.addr, c->range.first, sizeof(first.addr));
		c->read = c->packets;
		fn(&first, c->packets, user);
	}
	return 0;
}

int model_nft_heard(
	struct model_nft *nft, const char *table, const struct endpoint *from, int64_t now_us)
{
	if (strcmp(nft->table, table) || !nft->lazy.refuses)
		return 0; /* -ENOENT means the same to the caller */
	return is_in(nft->heard, from, now_us);
}

/* -- packets -------------------------------------------------------------------------------- */

static struct counted *find_counted(const struct model_nft *nft, const struct prefix *address)
{
	size_t len = address->family == AF_INET ? 4 : 16;

	for (guint i = 0; i < nft->counted->len; i++) {
		struct counted *c = &g_array_index(nft->counted, struct counted, i);

		if (c->range.family == address->family &&
			memcmp(c->range.first, address->addr, len) <= 0 &&
			memcmp(address->addr, c->range.last, len) <= 0)
			return c;
	}
	return NULL;
}

bool model_nft_counts(const struct model_nft *nft, const struct prefix *address)
{
	return find_counted(nft, address);
}

bool model_nft_inner(struct model_nft *nft, unsigned ifindex, const struct prefix *address, bool in,
	int64_t now_us)
{
	struct endpoint from = { .family = address->family };
	struct counted *c = find_counted(nft, address);

	if (!nft->table[0] || nft->ifindex != ifindex || !nft->lazy.counts)
		return false;
	if (c)
		c->packets++;
	if (c || !in || !nft->lazy.logs)
		return false;
	memcpy(from.addr, address->addr, sizeof(from.addr));
	if (is_in(nft->told, &from, now_us))
		return false;
	remember(nft->told, &from, now_us + NFT_TOLD_MS * 1000);
	return true;
}

bool model_nft_outer(struct model_nft *nft, uint16_t port, const struct endpoint *from,
	uint8_t type, int64_t now_us, bool *ret_log)
{
	*ret_log = false;
	if (!nft->table[0] || !nft->lazy.refuses || port != nft->lazy.listen_port ||
		type >= WG_COOKIE)
		return true;
	if (type == WG_INITIATION && is_in(nft->refused, from, now_us))
		return false;
	if (type == WG_INITIATION)
		remember(nft->heard, from, now_us + NFT_HEARD_MS * 1000);
	*ret_log = type == WG_RESPONSE && nft->lazy.logs && is_in(nft->watching, from, now_us);
	return true;
}
