/* agent/finder_show.c - what is shown of the negotiations: status documents and events for monitors. */
#include "agent/base/jwrite.h"
#include "agent/finder_impl.h"
#include "agent/runtime.h"

/* -- small things -------------------------------------------------------------------------------- */

static void write_age(GString *out, const char *key, int64_t at_ms)
{
	int64_t now_ms = finder_now_ms();

	if (at_ms > 0 && at_ms <= now_ms)
		jwrite_int(out, key, now_ms - at_ms);
	else
		jwrite_null(out, key);
}

/* From being wanted to there. */
static void write_stage(GString *out, const char *key, int64_t from_ms, int64_t at_ms)
{
	if (from_ms && at_ms >= from_ms)
		jwrite_int(out, key, at_ms - from_ms);
	else
		jwrite_null(out, key);
}

static void write_session(GString *out, const uint8_t session[static NEGO_SESSION_LEN])
{
	char text[2 * NEGO_SESSION_LEN + 1];

	for (size_t i = 0; i < NEGO_SESSION_LEN; i++)
		g_snprintf(text + 2 * i, 3, "%02x", session[i]);
	jwrite_string(out, "session", text);
}

static void write_path(GString *out, const struct nego_path *path)
{
	bool found = path->at.family;
	char text[ENDPOINT_STRLEN];

	jwrite_string(out, "path", found ? endpoint_format(&path->at, text) : NULL);
	jwrite_string(out, "local_type", found ? candidate_type_name(path->local) : NULL);
	jwrite_string(out, "remote_type", found ? candidate_type_name(path->remote) : NULL);
}

/* -- events -------------------------------------------------------------------------------------- */

/* "path found, 192.0.2.1:51820 (host to srflx)", "failed, no candidate answered in time" */
static char *describe(enum nego_step step, const struct nego_view *v)
{
	char text[ENDPOINT_STRLEN];

	if (step == NEGO_STEP_PATH)
		return g_strdup_printf("%s, %s (%s to %s)", nego_step_name(step),
			endpoint_format(&v->path.at, text), candidate_type_name(v->path.local),
			candidate_type_name(v->path.remote));
	if (step == NEGO_STEP_FAILED)
		return g_strdup_printf("%s, %s", nego_step_name(step), v->why);
	return g_strdup(nego_step_name(step));
}

void finder_tell(
	const struct wg_key *key, enum nego_step step, const struct nego_view *v, void *user)
{
	struct finder *f = user;
	g_autofree char *words = describe(step, v);
	GString *out = engine_begin_event(f->engine, "negotiation", key);

	jwrite_string(out, "state", nego_step_name(step));
	write_session(out, v->session);
	write_path(out, &v->path);
	jwrite_string(out, "problem", step == NEGO_STEP_FAILED ? v->why : NULL);
	engine_publish(f->engine, out, key, words);
	if (step == NEGO_STEP_UP && (v->path.at.family || v->heard_ms) && f->ops.connected)
		f->ops.connected(key, v, f->user);
}

/* -- status -------------------------------------------------------------------------------------- */

bool finder_write_peer(const struct finder *f, GString *out, const struct wg_key *key)
{
	struct nego_view v;

	if (!nego_view(f->nego, key, &v))
		return false;
	jwrite_open(out, "negotiation", '{');
	jwrite_string(out, "phase", nego_phase_name(v.phase));
	write_age(out, "waits_ms", v.phase == NEGO_WAITS ? v.due_ms : 0);
	write_session(out, v.session);
	jwrite_bool(out, "lapwing", v.lapwing);
	jwrite_bool(out, "asked_by_remote", v.asked_by_remote);
	jwrite_int(out, "offers_sent", v.offers_sent);
	jwrite_int(out, "offers_heard", v.offers_heard);
	jwrite_int(out, "answers_sent", v.answers_sent);
	jwrite_int(out, "answers_heard", v.answers_heard);
	jwrite_int(out, "candidates", v.candidates);
	jwrite_int(out, "limited", v.limited);
	write_age(out, "last_offer_ms", v.offered_ms);
	write_age(out, "last_answer_ms", v.answered_ms);
	write_stage(out, "offer_ms", v.wanted_ms, v.offered_ms);
	write_stage(out, "answer_ms", v.wanted_ms, v.answered_ms);
	write_stage(out, "candidate_ms", v.wanted_ms, v.candidate_ms);
	write_stage(out, "path_ms", v.wanted_ms, v.path_ms);
	write_path(out, &v.path);
	jwrite_string(out, "problem", v.why);
	jwrite_close(out, '}');
	return true;
}

void finder_write_status(const struct finder *f, GString *out)
{
	struct nego_load load;

	if (!f) {
		jwrite_null(out, "negotiations");
		return;
	}
	nego_get_load(f->nego, &load, finder_now_ms());
	jwrite_open(out, "negotiations", '{');
	jwrite_int(out, "known", (int64_t)nego_count(f->nego));
	jwrite_int(out, "busy", (int64_t)load.busy);
	jwrite_int(out, "waiting", (int64_t)load.waiting);
	jwrite_int(out, "longest_wait_ms", load.longest_ms);
	jwrite_int(out, "candidates_refused", (int64_t)f->refused);
	jwrite_close(out, '}');
}

void finder_write_pools(const struct finder *f, GString *out)
{
	struct nego_load load = { 0 };

	if (f)
		nego_get_load(f->nego, &load, finder_now_ms());
	runtime_write_pool(out, "negotiations known", f ? nego_count(f->nego) : 0, NEGO_KNOWN_MAX);
	runtime_write_pool(out, "negotiations busy", load.busy, NEGO_BUSY_MAX);
}
