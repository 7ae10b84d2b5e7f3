/* mgmt/servers.c - the other servers of a network: what is known of them, from one message to the next. */
#include <glib.h>
#include <string.h>

#include "mgmt/envelope.h"
#include "mgmt/update.h"

static void wipe_text(char *text)
{
	envelope_wipe((uint8_t *)text, text ? strlen(text) : 0);
}

static void free_list(struct update_server *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		g_free(list[i].uri);
		wipe_text(list[i].user);
		wipe_text(list[i].password);
	}
	g_free(list);
}

static void move_list(
	struct update_server **to, size_t *to_n, struct update_server **from, size_t *n)
{
	free_list(*to, *to_n);
	*to = g_steal_pointer(from);
	*to_n = *n;
	*n = 0;
}

static void move_text(char **to, char **from)
{
	wipe_text(*to);
	*to = g_steal_pointer(from);
}

/* An empty list of STUN or TURN servers says nothing, nor does silence about metrics; relays that are not spoken of
 * are gone. */
struct update_servers *update_servers_merge(
	struct update_servers *known, struct update_servers *said, bool from_login)
{
	if (!known)
		return said;
	if (said->signal.host && (from_login || !known->signal.host)) {
		g_free(known->signal.host);
		known->signal.host = g_steal_pointer(&said->signal.host);
		known->signal.tls = said->signal.tls;
	}
	if (said->n_stuns)
		move_list(&known->stuns, &known->n_stuns, &said->stuns, &said->n_stuns);
	if (said->n_turns)
		move_list(&known->turns, &known->n_turns, &said->turns, &said->n_turns);
	move_list(&known->relays, &known->n_relays, &said->relays, &said->n_relays);
	move_text(&known->relay_payload, &said->relay_payload);
	move_text(&known->relay_signature, &said->relay_signature);
	known->has_relay = said->has_relay;
	if (said->has_metrics) {
		known->has_metrics = true;
		known->metrics = said->metrics;
	}
	update_servers_free(said);
	return known;
}

void update_servers_free(struct update_servers *s)
{
	if (!s)
		return;
	g_free(s->signal.host);
	free_list(s->stuns, s->n_stuns);
	free_list(s->turns, s->n_turns);
	free_list(s->relays, s->n_relays);
	wipe_text(s->relay_payload);
	wipe_text(s->relay_signature);
	g_free(s);
}
