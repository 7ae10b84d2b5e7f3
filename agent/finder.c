/* agent/finder.c - takes what the negotiation decides to those who do it. */
#include "agent/finder_impl.h"

#include <malloc.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/candidate.h"
#include "agent/base/due.h"
#include "agent/base/log.h"
#include "mgmt/netmap.h"
#include "signal/body.h"

int64_t finder_now_ms(void)
{
	return g_get_monotonic_time() / 1000;
}

void finder_kick(struct finder *f)
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
		found.proven = view.path.at.family;
		found.replaces = view.replaces;
		found.yields = view.lapwing;
	}
	engine_set_paths(f->engine, key, &found, finder_now_ms());
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
		finder_ice_forget(f, action->line);
		break;
	case NEGO_ACT_ICE_RELEASE:
		finder_ice_release(f, &action->key);
		finder_sessions_changed(f);
		break;
	case NEGO_ACT_ICE_RESUME:
		finder_ice_resume(f, &action->key);
		break;
	case NEGO_ACT_ENDPOINTS:
		set_paths(f, &action->key);
		break;
	case NEGO_ACT_WAKE:
		engine_remote_wants(f->engine, &action->key, finder_now_ms());
		f->ops.changed(f->user);
		break;
	}
}

static gboolean work(gpointer user)
{
	struct finder *f = user;
	int64_t next = nego_tick(f->nego, finder_now_ms());
	struct nego_action action;

	g_source_set_ready_time(f->work, next == NEGO_NEVER ? -1 : next * 1000);
	while (nego_next(f->nego, &action))
		perform(f, &action);
	return G_SOURCE_CONTINUE;
}

/* -- this host ------------------------------------------------------------------------------------ */

/* The routing table says; nothing is sent there. */
static struct prefix way_to(const struct endpoint *stranger)
{
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(stranger, &sa);
	_auto_close_ int fd = socket(stranger->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct endpoint from = { .family = 0 };
	struct prefix way = { .family = 0 };

	if (fd < 0 || connect(fd, (const struct sockaddr *)&sa, len) < 0)
		return way;
	len = sizeof(sa);
	if (getsockname(fd, (struct sockaddr *)&sa, &len) < 0 ||
		endpoint_from_sockaddr((const struct sockaddr *)&sa, len, &from) < 0)
		return way;
	way.family = from.family;
	memcpy(way.addr, from.addr, sizeof(way.addr));
	return way;
}

/* Returns whether this host is elsewhere than before. */
static bool take_place(struct finder *f)
{
	static const struct endpoint strangers[] = {
		{ .family = AF_INET, .port = 9, .addr = { 192, 0, 2, 1 } },
		{ .family = AF_INET6, .port = 9, .addr = { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 } },
	};
	struct ice_local now[GATHER_MAX];
	size_t n = finder_locals(f, now);
	bool same = n == f->n_locals;

	for (size_t i = 0; i < n && same; i++)
		same = prefix_is_same(&now[i].address, &f->locals[i].address);
	memcpy(f->locals, now, n * sizeof(*now));
	f->n_locals = n;
	for (size_t i = 0; i < G_N_ELEMENTS(strangers); i++) {
		struct prefix way = way_to(&strangers[i]);

		same &= prefix_is_same(&way, &f->ways[i]);
		f->ways[i] = way;
	}
	return !same;
}

static void look(struct finder *f)
{
	if (!take_place(f))
		return;
	f->moved_ms = finder_now_ms();
	f->asked_ms = 0; /* STUN servers see us elsewhere */
	f->n_mapped = 0;
	if (!f->n_locals) /* nothing can be done from nowhere */
		return;
	nego_network_changed(f->nego, finder_now_ms());
	finder_kick(f);
	f->ops.moved(f->user);
}

static gboolean look_now(gpointer user)
{
	struct finder *f = user;

	f->looks = 0;
	look(f);
	return G_SOURCE_REMOVE;
}

/* One change comes as many events. */
void finder_look_soon(struct finder *f)
{
	enum { SETTLE_MS = 1000, AGAIN_MS = 5000 };
	int64_t since = f->moved_ms ? finder_now_ms() - f->moved_ms : AGAIN_MS;

	if (!f->looks)
		f->looks = g_timeout_add(
			(guint)CLAMP(AGAIN_MS - since, SETTLE_MS, AGAIN_MS), look_now, f);
}

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
	nego_watch(f->nego, finder_tell, f);
	f->aim = aim_new();
	finder_ice_open(f);
	finder_resume_open(f);
	finder_net_open(f);
	take_place(f);
	f->work = due_new(work, f, NULL);
	return f;
}

void finder_free(struct finder *f)
{
	if (!f)
		return;
	engine_set_finder(f->engine, false, finder_now_ms());
	g_clear_handle_id(&f->looks, g_source_remove);
	due_free(f->work);
	finder_resume_close(f);
	finder_ice_close(f);
	finder_net_close(f);
	nego_free(f->nego);
	aim_free(f->aim);
	g_free(f);
}

/* -- what is said -------------------------------------------------------------------------------- */

void finder_set_signal(struct finder *f, bool ready)
{
	nego_set_signal(f->nego, ready, finder_now_ms());
	engine_set_finder(f->engine, true, finder_now_ms());
	finder_kick(f);
}

void finder_need(struct finder *f, const struct wg_key *key, enum engine_need need)
{
	switch (need) {
	case ENGINE_PACKET_WAITS:
		nego_want(f->nego, key, NEGO_PACKET_WAITS, finder_now_ms());
		break;
	case ENGINE_ROUTER_WANTED:
		nego_want(f->nego, key, NEGO_ROUTER, finder_now_ms());
		break;
	case ENGINE_WANTED:
		nego_want(f->nego, key, NEGO_PERMANENT, finder_now_ms());
		break;
	case ENGINE_ANSWERS:
		finder_resume(f, key);
		nego_up(f->nego, key, finder_now_ms());
		break;
	case ENGINE_SLEEPS:
		nego_idle(f->nego, key, !f->hushed);
		break;
	case ENGINE_GIVEN_UP:
		nego_idle(f->nego, key, false);
		break;
	}
	finder_kick(f);
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
		nego_hear_offer(f->nego, from, &words, finder_now_ms());
	else
		nego_hear_answer(f->nego, from, &words, finder_now_ms());
	explicit_bzero(&words, sizeof(words));
}

/* ICE looks again, but WireGuard's packets go without it. */
static bool may_try(struct finder *f, const struct candidate *c)
{
	return finder_may_send_to(f, c) && aim_allows(f->aim, &c->address, finder_now_ms());
}

static void take_candidate(struct finder *f, const struct wg_key *from, struct candidate *c)
{
	char line[CANDIDATE_LINE_MAX];
	struct nego_candidate heard = { .at = { 0 } };
	struct candidate extra;
	bool allowed = may_try(f, c);

	if (allowed && candidate_make_extra(c, &extra) && !may_try(f, &extra)) {
		c->id[0] = '\0'; /* so none is made of it */
		f->refused++;
	}
	candidate_format(c, line);
	if (!allowed || g_strlcpy(heard.line, line, sizeof(heard.line)) >= sizeof(heard.line) ||
		g_strlcpy(heard.ufrag, c->ufrag, sizeof(heard.ufrag)) >= sizeof(heard.ufrag)) {
		f->refused++;
		return;
	}
	if (c->type != CANDIDATE_RELAY)
		heard.at = c->address;
	nego_hear_candidate(f->nego, from, &heard, finder_now_ms());
}

void finder_hear(struct finder *f, const struct wg_key *from, const struct signal_body *body)
{
	struct candidate candidate;

	switch (body->type) {
	case SIGNAL_OFFER:
	case SIGNAL_ANSWER:
		take_words(f, from, body);
		break;
	case SIGNAL_CANDIDATE:
		candidate = body->candidate;
		take_candidate(f, from, &candidate);
		break;
	case SIGNAL_GO_IDLE:
		f->hushed = true;
		if (engine_remote_sleeps(f->engine, from, finder_now_ms()))
			nego_forget(f->nego, from);
		f->hushed = false;
		f->ops.changed(f->user);
		break;
	case SIGNAL_HEARTBEAT:
	case SIGNAL_TYPES:
		break;
	}
	finder_kick(f);
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
	finder_kick(f);
}

void finder_tick(struct finder *f)
{
	/* Those that found no room. */
	engine_set_finder(f->engine, true, finder_now_ms());
	aim_tidy(f->aim, finder_now_ms());
	finder_resume_tick(f);
	finder_kick(f);
	if (!f->looks)
		look(f);
}
