/* agent/finder_resume.c - ICE sessions of connected peers over a restart of ours.
 *
 * Agents of NetBird take six seconds without an answer to their checks for the end of a path. They know us by words
 * that only the session has, so those are written down, and who is still connected when we come back is answered as
 * before. Of lapwings nothing is kept: they look at the tunnel. */
#include "agent/finder_impl.h"

#include <string.h>

#include "agent/sessions.h"

enum {
	RECORD_MS = 1000, /* many come at once */
	EXPECT_MS = 30 * 1000, /* whose tunnel is not found up by then was not */
};

static void expected_free(gpointer data)
{
	struct nego_session *session = data;

	explicit_bzero(session, sizeof(*session));
	g_free(session);
}

/* -- writing down --------------------------------------------------------------------------------- */

static size_t copy_expected(const struct finder *f, struct nego_session *ret)
{
	GHashTableIter iter;
	const struct nego_session *session;
	size_t n = 0;

	g_hash_table_iter_init(&iter, f->expected);
	while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&session))
		ret[n++] = *session;
	return n;
}

static gboolean record(gpointer user)
{
	struct finder *f = user;
	size_t max = nego_count(f->nego), size = max + g_hash_table_size(f->expected);
	struct nego_session *all = g_new0(struct nego_session, size);
	size_t n = nego_sessions(f->nego, all, max);

	f->records = 0;
	n += copy_expected(f, all + n);
	f->ops.record_sessions(all, n, f->user);
	sessions_wipe(all, size);
	return G_SOURCE_REMOVE;
}

void finder_sessions_changed(struct finder *f)
{
	if (f->ops.record_sessions && !f->records)
		f->records = g_timeout_add(RECORD_MS, record, f);
}

/* -- going on -------------------------------------------------------------------------------------- */

void finder_expect(struct finder *f, const struct nego_session *sessions, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct nego_session *session = g_memdup2(&sessions[i], sizeof(*session));

		g_hash_table_replace(f->expected, &session->key, session);
	}
	f->expected_ms = finder_now_ms();
}

void finder_resume(struct finder *f, const struct wg_key *key)
{
	const struct nego_session *session = g_hash_table_lookup(f->expected, key);

	if (!session)
		return;
	nego_resume(f->nego, session, finder_now_ms());
	g_hash_table_remove(f->expected, key);
	finder_sessions_changed(f); /* there may have been another by now */
}

void finder_resume_tick(struct finder *f)
{
	if (!g_hash_table_size(f->expected) || finder_now_ms() - f->expected_ms < EXPECT_MS)
		return;
	g_hash_table_remove_all(f->expected);
	finder_sessions_changed(f);
}

/* -- life ------------------------------------------------------------------------------------------ */

void finder_resume_open(struct finder *f)
{
	f->expected = g_hash_table_new_full(key_hash, key_equal, NULL, expected_free);
}

void finder_resume_close(struct finder *f)
{
	if (f->records) {
		g_source_remove(f->records);
		record(f);
	}
	g_hash_table_unref(f->expected);
}
