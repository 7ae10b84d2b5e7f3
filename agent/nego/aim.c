/* agent/nego/aim.c - how often packets may be aimed at an address because some peer has named it. */
#include "agent/nego/aim.h"

#include <glib.h>
#include <string.h>

struct aim {
	GHashTable *named; /* struct target, by what it is aimed at */
};

/* Of an address with port 0: all of its ports together. */
struct target {
	struct endpoint at;
	int64_t rested_ms; /* when it is as if it had never been named */
};

static guint at_hash(gconstpointer data)
{
	const struct endpoint *at = data;
	guint hash = at->port;

	for (size_t i = 0; i < sizeof(at->addr); i++)
		hash = hash * 31 + at->addr[i];
	return hash;
}

static gboolean at_equal(gconstpointer a, gconstpointer b)
{
	return endpoint_is_same(a, b);
}

struct aim *aim_new(void)
{
	struct aim *a = g_new0(struct aim, 1);

	a->named = g_hash_table_new_full(at_hash, at_equal, NULL, g_free);
	return a;
}

void aim_free(struct aim *a)
{
	if (!a)
		return;
	g_hash_table_unref(a->named);
	g_free(a);
}

static gboolean is_rested(gpointer key, gpointer value, gpointer user)
{
	return ((const struct target *)value)->rested_ms <= *(const int64_t *)user;
}

size_t aim_tidy(struct aim *a, int64_t now_ms)
{
	g_hash_table_foreach_remove(a->named, is_rested, &now_ms);
	return g_hash_table_size(a->named);
}

/* NULL: no room. */
static struct target *find(struct aim *a, const struct endpoint *at, int64_t now_ms)
{
	struct target *t = g_hash_table_lookup(a->named, at);

	if (t)
		return t;
	if (g_hash_table_size(a->named) >= AIM_KNOWN_MAX && aim_tidy(a, now_ms) >= AIM_KNOWN_MAX)
		return NULL;
	t = g_new0(struct target, 1);
	t->at = *at;
	t->rested_ms = now_ms;
	g_hash_table_insert(a->named, &t->at, t);
	return t;
}

static bool has_room(const struct target *t, int burst, int pace_ms, int64_t now_ms)
{
	return t && t->rested_ms - now_ms <= (int64_t)(burst - 1) * pace_ms;
}

bool aim_allows(struct aim *a, const struct endpoint *at, int64_t now_ms)
{
	struct endpoint whole = *at;
	struct target *address, *port = g_hash_table_lookup(a->named, at);

	if (port && !has_room(port, AIM_PORT_BURST, AIM_PORT_MS, now_ms))
		return false; /* it takes nothing from the others behind the address */
	whole.port = 0;
	address = find(a, &whole, now_ms);
	if (!has_room(address, AIM_ADDRESS_BURST, AIM_ADDRESS_MS, now_ms))
		return false;
	/* It counts before there may be no room for the port, lest room is made by forgetting it. */
	address->rested_ms = MAX(address->rested_ms, now_ms) + AIM_ADDRESS_MS;
	port = find(a, at, now_ms);
	if (!has_room(port, AIM_PORT_BURST, AIM_PORT_MS, now_ms))
		return false;
	port->rested_ms = MAX(port->rested_ms, now_ms) + AIM_PORT_MS;
	return true;
}
