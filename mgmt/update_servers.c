/* mgmt/update_servers.c - from a message: other servers, what files we are asked for, a deadline. */
#include <glib.h>
#include <stdlib.h>
#include <string.h>

#include "mgmt/management.pb-c.h"
#include "mgmt/update.h"
#include "mgmt/update_impl.h"

enum { PATH_MAX_LEN = 4095, DAY_S = 24 * 60 * 60, YEAR_S = 365 * DAY_S };

/* -- servers -------------------------------------------------------------------------------- */

/* NULL, with a note: it cannot be taken. */
static char *take_text(struct update_reading *r, const char *what, const char *s)
{
	if (update_text_is_good(s, strlen(s), UPDATE_TEXT_MAX))
		return g_strdup(s);
	update_note(r, "%s: not a text that can be taken", what);
	return NULL;
}

static void add_server(struct update_reading *r, const char *what, const char *uri,
	struct update_server **list, size_t *n)
{
	char *copy;

	if (*n == UPDATE_SERVERS_MAX)
		return update_note(r, "%s %s: more than %d", what, uri, UPDATE_SERVERS_MAX);
	copy = take_text(r, what, uri);
	if (!copy)
		return;
	*list = update_room(*list, *n, sizeof(**list));
	(*list)[(*n)++] = (struct update_server){ .uri = copy };
}

static void add_turn(struct update_reading *r, const Management__ProtectedHostConfig *in)
{
	struct update_servers *s = r->update->servers;
	size_t before = s->n_turns;

	if (in->hostconfig)
		add_server(r, "TURN server", in->hostconfig->uri, &s->turns, &s->n_turns);
	if (s->n_turns == before)
		return;
	if (*in->user)
		s->turns[before].user = take_text(r, "user of a TURN server", in->user);
	if (*in->password)
		s->turns[before].password = take_text(r, "password of a TURN server", in->password);
}

static void read_relays(struct update_reading *r, const Management__RelayConfig *in)
{
	struct update_servers *s = r->update->servers;

	s->has_relay = true;
	for (size_t i = 0; i < in->n_urls; i++)
		add_server(r, "relay", in->urls[i], &s->relays, &s->n_relays);
	if (*in->tokenpayload)
		s->relay_payload = take_text(r, "token for relays", in->tokenpayload);
	if (*in->tokensignature)
		s->relay_signature = take_text(r, "signature for relays", in->tokensignature);
}

void update_read_servers(struct update_reading *r, struct wire_bytes bytes)
{
	const Management__NetbirdConfig *in = management__netbird_config__unpack(
		update_arena(r), bytes.len, bytes.data);
	struct update_servers *s;

	if (!in)
		return update_note(r, "the list of servers cannot be read: it stays as it was");
	s = r->update->servers = g_new0(struct update_servers, 1);
	for (size_t i = 0; i < in->n_stuns; i++)
		add_server(r, "STUN server", in->stuns[i]->uri, &s->stuns, &s->n_stuns);
	for (size_t i = 0; i < in->n_turns; i++)
		add_turn(r, in->turns[i]);
	if (in->relay)
		read_relays(r, in->relay);
	s->has_metrics = in->metrics;
	s->metrics = in->metrics && in->metrics->enabled;
	if (!in->signal)
		return;
	s->signal.host = take_text(r, "signal server", in->signal->uri);
	s->signal.tls = in->signal->protocol == MANAGEMENT__HOST_CONFIG__PROTOCOL__HTTPS;
}

/* -- files that a server asks about --------------------------------------------------------- */

void update_read_checks(struct update_reading *r, struct wire_bytes bytes)
{
	const Management__Checks *in = management__checks__unpack(
		update_arena(r), bytes.len, bytes.data);

	if (!in)
		return update_note(r, "a list of files that cannot be read");
	for (size_t i = 0; i < in->n_files; i++) {
		if (in->files[i][0] != '/' ||
			!update_text_is_good(in->files[i], strlen(in->files[i]), PATH_MAX_LEN)) {
			update_note(r, "file %s: not a path", in->files[i]);
		} else if (r->n_files == UPDATE_FILES_MAX) {
			update_note(r, "file %s: more than %d", in->files[i], UPDATE_FILES_MAX);
		} else {
			r->update->files = update_room(
				r->update->files, r->n_files, sizeof(*r->update->files));
			r->update->files[r->n_files++] = g_strdup(in->files[i]);
		}
	}
}

static int path_order(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void update_finish_checks(struct update_reading *r)
{
	struct update *u = r->update;
	size_t kept = 0;

	if (r->n_files)
		qsort(u->files, r->n_files, sizeof(*u->files), path_order);
	for (size_t i = 0; i < r->n_files; i++)
		if (kept && !strcmp(u->files[kept - 1], u->files[i]))
			g_free(u->files[i]);
		else
			u->files[kept++] = u->files[i];
	u->files = g_realloc_n(u->files, kept + 1, sizeof(*u->files));
	u->files[kept] = NULL;
}

/* -- deadline ------------------------------------------------------------------------------- */

void update_read_session(struct update_reading *r, struct wire_bytes bytes)
{
	const Management__Timestamp *in = management__timestamp__unpack(
		update_arena(r), bytes.len, bytes.data);
	int64_t now = r->limits->now_s;

	r->update->session_expires_s = 0;
	if (!in || in->seconds < 0 || in->seconds > now + 10 * (int64_t)YEAR_S ||
		(in->seconds && in->seconds < now - 30 * (int64_t)DAY_S))
		update_note(r, "a session deadline that cannot be: there is none");
	else
		r->update->session_expires_s = in->seconds;
}
