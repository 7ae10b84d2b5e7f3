/* agent/nego/nego_resume.c - how two hosts agree on a path: sessions that outlive a restart of ours. */
#include <string.h>

#include "agent/nego/nego_impl.h"

/* Nobody has heard our new words yet, nor have we any of the other side's. */
static bool is_untouched(const struct talk *t)
{
	return !t->ice && !t->heard && !t->remote.mark && !t->shown.offers_sent;
}

void nego_resume(struct nego *n, const struct nego_session *session, int64_t now_ms)
{
	struct talk *t = nego_meet(n, &session->key, now_ms);

	if (!is_untouched(t))
		return;
	memcpy(t->local.ufrag, session->ufrag, sizeof(t->local.ufrag));
	memcpy(t->local.pwd, session->pwd, sizeof(t->local.pwd));
	t->wanted = t->up = t->ice = t->released = true;
	t->remote.mark = 1; /* whatever it said: the next that it says is another */
	t->offer_ms = NEGO_NEVER;
	t->shown.path = session->path;
	nego_act(n, t, NEGO_ACT_ICE_RESUME, NULL);
	nego_act(n, t, NEGO_ACT_ENDPOINTS, NULL);
}

size_t nego_sessions(const struct nego *n, struct nego_session *ret, size_t max)
{
	size_t count = 0;
	GHashTableIter iter;
	const struct talk *t;

	g_hash_table_iter_init(&iter, n->talks);
	while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&t)) {
		if (!t->released || count++ >= max)
			continue;
		ret->key = t->key;
		ret->path = t->shown.path;
		memcpy(ret->ufrag, t->local.ufrag, sizeof(ret->ufrag));
		memcpy(ret->pwd, t->local.pwd, sizeof(ret->pwd));
		ret++;
	}
	return count;
}
