/* tests/sim/model_ice.c - ICE as the finder uses it, in place of agent/finder_ice.c: candidates trickle, checks pass the
 * network and its NATs from WireGuard's port, the first pair that works is taken. */
#include <string.h>

#include "agent/finder_impl.h"
#include "tests/sim/model_finder.h"

#define S (INT64_C(1000000)) /* in microseconds */

enum {
	PACE_US = 50 * 1000, /* between checks of a candidate, ... */
	CHECKS_US = 8 * 1000 * 1000, /* ... for so long */
	LIMIT_US = ICE_LIMIT_MS * 1000,
	REFLEXIVE_US_MAX = 300 * 1000, /* a STUN server answers */
	CONSENT_US = 2 * 1000 * 1000, /* between checks of the chosen pair */
	SILENCE_US = 8 * 1000 * 1000, /* then it is given up */
	BUSY_US = 40,
	REMOTES_MAX = 16,
};

struct remote {
	struct endpoint at;
	int64_t since_us;
	bool works;
};

struct agent {
	struct timer timer;
	struct wg_key key;
	struct finder *finder;
	struct node *h;
	struct nego_words local, remote;
	bool controls, told, selected, wanted, dead;
	int64_t begun_us, reflexive_us, heard_us;
	struct remote remotes[REMOTES_MAX];
	unsigned n;
	struct endpoint path; /* selected, or wanted by the other side */
};

struct check {
	struct wg_message m;
	char to[NEGO_UFRAG_LEN + 1], from[NEGO_UFRAG_LEN + 1];
	bool answer, takes; /* the pair is taken with it */
};

/* -- checks ---------------------------------------------------------------------------------------- */

static void send_check(struct agent *a, const struct endpoint *to, bool answer)
{
	struct check check = { .m = { .type = NET_CHECK }, .answer = answer, .takes = a->controls };

	g_strlcpy(check.to, a->remote.ufrag, sizeof(check.to));
	g_strlcpy(check.from, a->local.ufrag, sizeof(check.from));
	net_send(&a->h->w->net, a->h->number, engine_port(a->finder->engine), to, &check,
		sizeof(check));
}

static struct remote *add_remote(struct agent *a, const struct endpoint *at)
{
	for (unsigned i = 0; i < a->n; i++)
		if (endpoint_is_same(&a->remotes[i].at, at))
			return &a->remotes[i];
	if (a->n == REMOTES_MAX)
		return NULL;
	a->remotes[a->n] = (struct remote){ *at, a->h->w->clock.now_us, false };
	return &a->remotes[a->n++];
}

static void take(struct agent *a, const struct endpoint *path)
{
	const struct nego_path taken = { .at = *path };

	a->selected = true;
	a->path = *path;
	a->heard_us = a->h->w->clock.now_us;
	nego_selected(
		a->finder->nego, &a->key, a->local.session, &taken, a->h->w->clock.now_us / 1000);
	g_source_set_ready_time(a->finder->work, 0);
}

static void take_answer(struct agent *a, struct remote *from)
{
	from->works = true;
	a->heard_us = a->h->w->clock.now_us;
	if (!a->selected && (a->controls || (a->wanted && endpoint_is_same(&a->path, &from->at))))
		take(a, &from->at);
}

static void take_request(struct agent *a, struct remote *from, bool takes)
{
	send_check(a, &from->at, true);
	if (a->controls || a->selected || !takes)
		return;
	a->wanted = true;
	a->path = from->at;
	if (from->works)
		take(a, &from->at);
	else
		send_check(a, &from->at, false);
}

static struct agent *find(const struct finder *f, const struct check *check)
{
	GHashTableIter iter;
	struct agent *a;

	g_hash_table_iter_init(&iter, f->agents);
	while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&a))
		if (!a->dead && !strcmp(a->local.ufrag, check->to) &&
			!strcmp(a->remote.ufrag, check->from))
			return a;
	return NULL;
}

void ice_model_check(struct node *h, const struct endpoint *from, const void *data)
{
	const struct check *check = data;
	const struct finder *f = finding_of(h);
	struct agent *a = f ? find(f, check) : NULL;
	struct remote *remote;

	if (!a || h->busy || (!check->answer && !model_steers(&h->model->nft, check->to)))
		return;
	remote = add_remote(a, from);
	if (remote && check->answer)
		take_answer(a, remote);
	else if (remote)
		take_request(a, remote, check->takes);
	finding_plan(h);
}

/* -- time ------------------------------------------------------------------------------------------- */

static void fail(struct agent *a, const char *why)
{
	a->dead = true;
	nego_failed(a->finder->nego, &a->key, a->local.session, why, a->h->w->clock.now_us / 1000);
	g_source_set_ready_time(a->finder->work, 0);
}

static void tell(struct agent *a)
{
	struct ice_local locals[GATHER_MAX];
	size_t n = finder_locals(a->finder, locals);
	char line[CANDIDATE_LINE_MAX];

	a->told = true;
	for (size_t i = 0; i < n; i++) {
		struct candidate c = { .type = CANDIDATE_HOST };

		c.address.family = locals[i].address.family;
		c.address.port = engine_port(a->finder->engine);
		memcpy(c.address.addr, locals[i].address.addr, sizeof(c.address.addr));
		candidate_complete(&c);
		g_strlcpy(c.ufrag, a->local.ufrag, sizeof(c.ufrag));
		nego_local_candidate(
			a->finder->nego, &a->key, a->local.session, candidate_format(&c, line));
	}
	g_source_set_ready_time(a->finder->work, 0);
}

static void check_all(struct agent *a, int64_t now_us)
{
	for (unsigned i = 0; i < a->n; i++)
		if (now_us - a->remotes[i].since_us < CHECKS_US)
			send_check(a, &a->remotes[i].at, false);
}

static void on_time(void *arg)
{
	struct agent *a = arg;
	struct node *h = a->h;
	struct clock *clock = &h->w->clock;

	if (h->busy) {
		timer_set(clock, &a->timer, clock->now_us + BUSY_US);
		return;
	}
	if (!a->told && clock->now_us >= a->reflexive_us)
		tell(a);
	if (a->selected)
		send_check(a, &a->path, false);
	else
		check_all(a, clock->now_us);
	if (a->selected && clock->now_us - a->heard_us >= SILENCE_US)
		fail(a, "the path does not answer any more");
	else if (!a->selected && clock->now_us - a->begun_us >= LIMIT_US)
		fail(a, "no candidate answered in time");
	else
		timer_set(clock, &a->timer, clock->now_us + (a->selected ? CONSENT_US : PACE_US));
	finding_plan(h);
}

/* -- what is asked of finder_ice.c --------------------------------------------------------------- */

static void agent_free(gpointer data)
{
	struct agent *a = data;

	timer_stop(&a->h->w->clock, &a->timer);
	engine_steer_no_more(a->finder->engine, a->local.ufrag);
	g_free(a);
}

void finder_ice_open(struct finder *f)
{
	f->agents = g_hash_table_new_full(key_hash, key_equal, NULL, agent_free);
}

void finder_ice_close(struct finder *f)
{
	g_hash_table_unref(f->agents);
}

void finder_ice_start(struct finder *f, const struct wg_key *key)
{
	struct node *h = f->user;
	struct clock *clock = &h->w->clock;
	struct nego_words local, remote;
	struct agent *a;

	if (!nego_words(f->nego, key, &local) || !nego_take_words(f->nego, key, &remote))
		return;
	if (g_hash_table_contains(f->agents, key))
		world_fail(h->w, "%s starts an agent for h%d beside another one", h->name,
			world_number(h->w, key));
	a = g_new0(struct agent, 1);
	*a = (struct agent){ .timer = { .fn = on_time, .arg = a },
		.key = *key,
		.finder = f,
		.h = h,
		.local = local,
		.remote = remote,
		.controls = nego_controls(f->nego, key),
		.begun_us = clock->now_us,
		.reflexive_us = clock->now_us };
	if (h->w->net.hosts[h->number].nat)
		a->reflexive_us += world_draw(h->w, REFLEXIVE_US_MAX);
	g_hash_table_replace(f->agents, &a->key, a);
	engine_steer(f->engine, a->local.ufrag, engine_first_steered(f->engine));
	timer_set(clock, &a->timer, clock->now_us + 1000);
}

void finder_ice_stop(struct finder *f, const struct wg_key *key)
{
	g_hash_table_remove(f->agents, key);
}

void finder_ice_candidate(struct finder *f, const struct wg_key *key, const char *line)
{
	struct agent *a = g_hash_table_lookup(f->agents, key);
	struct candidate c;

	if (a && candidate_parse(line, strlen(line), &c) == 0 &&
		(!c.ufrag[0] || !strcmp(c.ufrag, a->remote.ufrag)))
		add_remote(a, &c.address);
}

/* All are of one kind: nobody needs its checks answered. */
void finder_ice_release(struct finder *f, const struct wg_key *key)
{
	finder_ice_stop(f, key);
}

void finder_ice_resume(struct finder *f, const struct wg_key *key)
{
}

void finder_ice_mapped(struct finder *f, const struct endpoint *mapped)
{
}

void finder_ice_forget(struct finder *f, const char *ufrag)
{
}
