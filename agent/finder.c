/* agent/finder.c - takes what the negotiation decides to those who do it. */
#include "agent/finder_impl.h"

#include <malloc.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/candidate.h"
#include "agent/base/jwrite.h"
#include "agent/base/log.h"
#include "mgmt/netmap.h"
#include "signal/body.h"

static int64_t now_ms(void)
{
	return g_get_monotonic_time() / 1000;
}

static void kick(struct finder *f)
{
	g_source_set_ready_time(f->work, 0);
}

/* -- to the other side -------------------------------------------------------------------------- */

static void send_body(struct finder *f, const struct wg_key *to, const struct signal_body *body)
{
	static struct log_limit limit = { .cause = "signal", .burst = 3 };
	char text[KEY_STRLEN];
	int r = f->ops.send(to, body, f->user);

	if (r < 0 && log_limit_allows(&limit))
		log_warn_errno(r, "cannot send to peer %s", key_format(to, text));
}

static void send_words(struct finder *f, const struct wg_key *to, enum signal_type type)
{
	struct signal_body body = { .type = type };
	struct nego_words words;

	if (!nego_words(f->nego, to, &words))
		return;
	g_strlcpy(body.offer.ufrag, words.ufrag, sizeof(body.offer.ufrag));
	g_strlcpy(body.offer.pwd, words.pwd, sizeof(body.offer.pwd));
	body.offer.has_session = true;
	memcpy(body.offer.session, words.session, sizeof(body.offer.session));
	body.offer.wg_port = engine_port(f->engine);
	g_strlcpy(body.offer.version, f->version, sizeof(body.offer.version));
	body.offer.lapwing = true;
	send_body(f, to, &body);
	explicit_bzero(&body, sizeof(body));
	explicit_bzero(&words, sizeof(words));
}

static void send_candidate(struct finder *f, const struct wg_key *to, const char *line)
{
	struct signal_body body = { .type = SIGNAL_CANDIDATE };

	if (candidate_parse(line, strlen(line), &body.candidate) == 0)
		send_body(f, to, &body);
}

/* -- what the negotiation wants done -------------------------------------------------------------- */

static void set_paths(struct finder *f, const struct wg_key *key)
{
	struct endpoint at[NEGO_ENDPOINTS_MAX + 1];
	struct engine_paths found = { .at = at, .n = nego_endpoints(f->nego, key, at) };
	struct nego_view view;

	if (nego_view(f->nego, key, &view)) {
		found.proven = view.path.family;
		found.yields = view.lapwing;
	}
	engine_set_paths(f->engine, key, &found, now_ms());
	f->ops.changed(f->user);
}

static void perform(struct finder *f, const struct nego_action *action)
{
	static const struct signal_body go_idle = { .type = SIGNAL_GO_IDLE };

	switch (action->act) {
	case NEGO_ACT_OFFER:
		send_words(f, &action->key, SIGNAL_OFFER);
		break;
	case NEGO_ACT_ANSWER:
		send_words(f, &action->key, SIGNAL_ANSWER);
		break;
	case NEGO_ACT_CANDIDATE:
		send_candidate(f, &action->key, action->line);
		break;
	case NEGO_ACT_GO_IDLE:
		send_body(f, &action->key, &go_idle);
		break;
	case NEGO_ACT_ICE_START:
		finder_ice_start(f, &action->key);
		break;
	case NEGO_ACT_ICE_CANDIDATE:
		finder_ice_candidate(f, &action->key, action->line);
		break;
	case NEGO_ACT_ICE_STOP:
		finder_ice_stop(f, &action->key);
		finder_ice_forget(f, &action->key);
		break;
	case NEGO_ACT_ICE_RELEASE:
		finder_ice_release(f, &action->key);
		break;
	case NEGO_ACT_ENDPOINTS:
		set_paths(f, &action->key);
		break;
	case NEGO_ACT_WAKE:
		engine_remote_wants(f->engine, &action->key, now_ms());
		f->ops.changed(f->user);
		break;
	}
}

static gboolean work(gpointer user)
{
	struct finder *f = user;
	int64_t next = nego_tick(f->nego, now_ms());
	struct nego_action action;

	g_source_set_ready_time(f->work, next == NEGO_NEVER ? -1 : next * 1000);
	while (nego_next(f->nego, &action))
		perform(f, &action);
	return G_SOURCE_CONTINUE;
}

static gboolean dispatch_work(GSource *source, GSourceFunc callback, gpointer user)
{
	return callback(user);
}

static GSourceFuncs work_funcs = { .dispatch = dispatch_work };

/* -- life ---------------------------------------------------------------------------------------- */

/* Passwords are made of it. */
static uint32_t random32(void *user)
{
	uint32_t r;

	if (getentropy(&r, sizeof(r)) < 0)
		g_error("no random bytes");
	return r;
}

struct finder *finder_new(struct engine *engine, const struct wg_key *own, const char *version,
	const struct finder_ops *ops, void *user)
{
	struct finder *f = g_new0(struct finder, 1);

	f->engine = engine;
	f->version = version;
	f->ops = *ops;
	f->user = user;
	f->nego = nego_new(own, random32, NULL);
	f->aim = aim_new();
	finder_ice_open(f);
	finder_net_open(f);
	f->work = g_source_new(&work_funcs, sizeof(GSource));
	g_source_set_callback(f->work, work, f, NULL);
	g_source_attach(f->work, NULL);
	return f;
}

void finder_free(struct finder *f)
{
	if (!f)
		return;
	engine_set_finder(f->engine, false, now_ms());
	g_source_destroy(f->work);
	g_source_unref(f->work);
	finder_ice_close(f);
	finder_net_close(f);
	nego_free(f->nego);
	aim_free(f->aim);
	g_free(f);
}

/* -- what is said -------------------------------------------------------------------------------- */

void finder_set_signal(struct finder *f, bool ready)
{
	nego_set_signal(f->nego, ready, now_ms());
	engine_set_finder(f->engine, true, now_ms());
	kick(f);
}

void finder_need(struct finder *f, const struct wg_key *key, enum engine_need need)
{
	switch (need) {
	case ENGINE_PACKET_WAITS:
		nego_want(f->nego, key, NEGO_PACKET_WAITS, now_ms());
		break;
	case ENGINE_ROUTER_WANTED:
		nego_want(f->nego, key, NEGO_ROUTER, now_ms());
		break;
	case ENGINE_WANTED:
		nego_want(f->nego, key, NEGO_PERMANENT, now_ms());
		break;
	case ENGINE_ANSWERS:
		nego_up(f->nego, key, now_ms());
		break;
	case ENGINE_SLEEPS:
		nego_idle(f->nego, key, !f->hushed);
		break;
	case ENGINE_GIVEN_UP:
		nego_idle(f->nego, key, false);
		break;
	}
	kick(f);
}

static void take_words(struct finder *f, const struct wg_key *from, const struct signal_body *body)
{
	const struct signal_offer *o = &body->offer;
	struct nego_words words = { .has_session = o->has_session, .lapwing = o->lapwing };

	if (g_strlcpy(words.ufrag, o->ufrag, sizeof(words.ufrag)) >= sizeof(words.ufrag) ||
		g_strlcpy(words.pwd, o->pwd, sizeof(words.pwd)) >= sizeof(words.pwd))
		return; /* longer than any agent's */
	memcpy(words.session, o->session, sizeof(words.session));
	if (body->type == SIGNAL_OFFER)
		nego_hear_offer(f->nego, from, &words, now_ms());
	else
		nego_hear_answer(f->nego, from, &words, now_ms());
	explicit_bzero(&words, sizeof(words));
}

static void take_candidate(struct finder *f, const struct wg_key *from, const struct candidate *c)
{
	char line[CANDIDATE_LINE_MAX];
	struct nego_candidate heard = { .at = { 0 } };

	candidate_format(c, line);
	/* ICE looks again, but WireGuard's packets go without it. */
	if (!finder_may_send_to(f, c) || !aim_allows(f->aim, &c->address, now_ms()) ||
		g_strlcpy(heard.line, line, sizeof(heard.line)) >= sizeof(heard.line) ||
		g_strlcpy(heard.ufrag, c->ufrag, sizeof(heard.ufrag)) >= sizeof(heard.ufrag)) {
		f->refused++;
		return;
	}
	if (c->type != CANDIDATE_RELAY)
		heard.at = c->address;
	nego_hear_candidate(f->nego, from, &heard, now_ms());
}

void finder_hear(struct finder *f, const struct wg_key *from, const struct signal_body *body)
{
	switch (body->type) {
	case SIGNAL_OFFER:
	case SIGNAL_ANSWER:
		take_words(f, from, body);
		break;
	case SIGNAL_CANDIDATE:
		take_candidate(f, from, &body->candidate);
		break;
	case SIGNAL_GO_IDLE:
		f->hushed = true;
		if (engine_remote_sleeps(f->engine, from, now_ms()))
			nego_forget(f->nego, from);
		f->hushed = false;
		f->ops.changed(f->user);
		break;
	case SIGNAL_HEARTBEAT:
	case SIGNAL_TYPES:
		break;
	}
	kick(f);
}

static bool is_peer(const struct wg_key *key, void *user)
{
	return engine_knows_peer(user, key);
}

void finder_map_changed(struct finder *f)
{
	enum { TRIM = 256 }; /* so many leave holes worth giving back */

	if (nego_prune(f->nego, is_peer, f->engine) >= TRIM)
		malloc_trim(0);
	kick(f);
}

void finder_tick(struct finder *f)
{
	/* Those that found no room. */
	engine_set_finder(f->engine, true, now_ms());
	kick(f);
}

bool finder_look_at_addresses(struct finder *f)
{
	struct ice_local now[GATHER_MAX];
	size_t n = finder_locals(f, now);
	bool first = !f->n_locals, same = n == f->n_locals;

	for (size_t i = 0; i < n && same; i++)
		same = prefix_is_same(&now[i].address, &f->locals[i].address);
	if (same)
		return false;
	memcpy(f->locals, now, n * sizeof(*now));
	f->n_locals = n;
	if (first)
		return false;
	f->asked_ms = 0; /* STUN servers see us elsewhere */
	nego_network_changed(f->nego, now_ms());
	kick(f);
	return true;
}

/* -- status -------------------------------------------------------------------------------------- */

static void write_age(GString *out, const char *key, int64_t at_ms)
{
	if (at_ms)
		jwrite_int(out, key, now_ms() - at_ms);
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

void finder_write_peer(const struct finder *f, GString *out, const struct wg_key *key)
{
	char session[2 * NEGO_SESSION_LEN + 1], text[ENDPOINT_STRLEN];
	struct nego_view v;

	if (!nego_view(f->nego, key, &v))
		return;
	for (size_t i = 0; i < NEGO_SESSION_LEN; i++)
		g_snprintf(session + 2 * i, 3, "%02x", v.session[i]);
	jwrite_open(out, "negotiation", '{');
	jwrite_string(out, "phase", nego_phase_name(v.phase));
	jwrite_string(out, "session", session);
	jwrite_bool(out, "lapwing", v.lapwing);
	jwrite_bool(out, "asked_by_remote", v.asked_by_remote);
	jwrite_int(out, "offers_sent", v.offers_sent);
	jwrite_int(out, "offers_heard", v.offers_heard);
	jwrite_int(out, "answers_sent", v.answers_sent);
	jwrite_int(out, "answers_heard", v.answers_heard);
	jwrite_int(out, "candidates", v.candidates);
	jwrite_int(out, "limited", v.limited);
	write_age(out, "last_offer_ms", v.offered_ms);
	write_stage(out, "offer_ms", v.wanted_ms, v.offered_ms);
	write_stage(out, "answer_ms", v.wanted_ms, v.answered_ms);
	write_stage(out, "candidate_ms", v.wanted_ms, v.candidate_ms);
	write_stage(out, "path_ms", v.wanted_ms, v.path_ms);
	jwrite_string(out, "path", v.path.family ? endpoint_format(&v.path, text) : NULL);
	jwrite_string(out, "problem", v.why);
	jwrite_close(out, '}');
}

void finder_write_status(const struct finder *f, GString *out)
{
	struct nego_load load;

	if (!f) {
		jwrite_null(out, "negotiations");
		return;
	}
	nego_get_load(f->nego, &load, now_ms());
	jwrite_open(out, "negotiations", '{');
	jwrite_int(out, "known", (int64_t)nego_count(f->nego));
	jwrite_int(out, "busy", (int64_t)load.busy);
	jwrite_int(out, "waiting", (int64_t)load.waiting);
	jwrite_int(out, "longest_wait_ms", load.longest_ms);
	jwrite_int(out, "candidates_refused", (int64_t)f->refused);
	jwrite_close(out, '}');
}
