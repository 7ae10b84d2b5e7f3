/* tests/sim/model_judge.h - what a daemon says of its peers and does to them: is it right? */
#pragma once

#include "tests/sim/model_world.h"

/* An event of the engine's. */
void judge_told(const char *json, void *user);
/* An inner packet came in. */
void judge_remote(struct node *h, unsigned other);
/* The daemon is about to give this peer another endpoint. */
void judge_move(
	struct node *h, unsigned other, const struct model_peer *peer, const struct endpoint *to);
/* nftables refuses what the daemon wants changed. */
void judge_resent(struct node *h, const struct endpoint *to, const void *data, size_t len);
void judge_refused(struct node *h);
/* The daemon has nothing more to do for now. */
void judge_turn(struct node *h);
/* The daemon offers the other side another path. */
void judge_offer(struct node *h, unsigned other);
/* The other side says that it sleeps. */
void judge_word(struct node *h, unsigned other);
/* It ends, and has tidied up. */
void judge_leave(struct node *h);
