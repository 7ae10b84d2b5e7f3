/* tests/sim/model_finder.h - what the finders of all hosts (agent/finder.c, the real one) live in: a signal server that
 * loses, delays, doubles and swaps messages, and ICE. */
#pragma once

#include "agent/engine.h"
#include "tests/sim/model_world.h"

enum { OFFERS_PER_MINUTE_MAX = 30 }; /* of one host to one other, whatever happens */

/* One signal server for all. */
struct exchange {
	int64_t down_until_us;
	double loss, twice; /* how often */
	int64_t late_us; /* messages may be so late, and overtake each other */
	int64_t latency_us;
};

/* From now on hosts that start have a finder. */
void exchange_open(struct world *w);
void exchange_close(struct world *w);
/* Nobody can speak with it, for so long. */
void exchange_away(struct world *w, int64_t us);
/* This host loses its connection, and makes another one. */
void exchange_drop(struct node *h);

/* How long two hosts need to find each other when nothing is in their way. */
int64_t exchange_limit_us(const struct world *w);

/* The life of a finder; `w->exchange` NULL: nothing. */
void finding_start(struct node *h);
void finding_stop(struct node *h);
void finding_map(struct node *h);
void finding_check(struct node *h);
void finding_need(struct node *h, const struct wg_key *key, enum engine_need need);
/* For the model of ICE. */
struct finder *finding_of(const struct node *h);
void finding_plan(struct node *h);
void ice_model_check(struct node *h, const struct endpoint *from, const void *data);

/* What the peer's document says of it, as the daemon writes it. */
void finding_write(const struct node *h, GString *out, const struct wg_key *key);
/* What is left of negotiations with this one: in words, NULL: nothing. */
const char *finding_rest(const struct node *h, unsigned other);
/* So many offers were made to it. */
unsigned finding_offers(const struct node *h, unsigned other);
/* ICE agents of this host. */
unsigned finding_agents(const struct node *h);
