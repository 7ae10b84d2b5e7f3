/* agent/resolve.c - names to addresses, through GResolver. */
#include "agent/resolve.h"

#include <gio/gio.h>
#include <string.h>

enum { ANSWERS_MAX = 32 };

struct resolve {
	resolve_fn fn;
	void *user;
	GCancellable *cancel;
};

struct question {
	struct resolve *resolve;
	uint32_t id;
};

struct resolve *resolve_new(resolve_fn fn, void *user)
{
	struct resolve *r = g_new0(struct resolve, 1);

	r->fn = fn;
	r->user = user;
	r->cancel = g_cancellable_new();
	return r;
}

void resolve_free(struct resolve *r)
{
	if (!r)
		return;
	g_cancellable_cancel(r->cancel);
	g_object_unref(r->cancel);
	g_free(r);
}

static size_t collect(GList *list, struct endpoint *ret)
{
	size_t n = 0;

	for (GList *l = list; l && n < ANSWERS_MAX; l = l->next) {
		GInetAddress *address = l->data;
		bool v4 = g_inet_address_get_family(address) == G_SOCKET_FAMILY_IPV4;
		struct endpoint e = { .family = v4 ? AF_INET : AF_INET6 };

		if (g_inet_address_get_is_loopback(address) ||
			g_inet_address_get_is_multicast(address) ||
			g_inet_address_get_is_any(address))
			continue;
		memcpy(e.addr, g_inet_address_to_bytes(address),
			g_inet_address_get_native_size(address));
		ret[n++] = e;
	}
	return n;
}

static void answered(GObject *source, GAsyncResult *result, gpointer data)
{
	g_autofree struct question *q = data;
	g_autoptr(GError) error = NULL;
	struct endpoint addresses[ANSWERS_MAX];
	GList *list = g_resolver_lookup_by_name_finish(G_RESOLVER(source), result, &error);
	size_t n = collect(list, addresses);

	g_resolver_free_addresses(list);
	/* Cancelled means that q->resolve is gone. */
	if (error && g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
		return;
	q->resolve->fn(q->id, addresses, n,
		error ? error->message : "no usable address among the answers", q->resolve->user);
}

void resolve_start(struct resolve *r, uint32_t id, const char *name)
{
	g_autoptr(GResolver) resolver = g_resolver_get_default();
	struct question *q = g_new(struct question, 1);

	*q = (struct question){ r, id };
	g_resolver_lookup_by_name_async(resolver, name, r->cancel, answered, q);
}
