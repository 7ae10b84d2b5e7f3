/* agent/requests.h - what the control socket is asked, and the answers. */
#pragma once

#include <glib.h>

#include "agent/control.h"

struct daemon;
struct network_outcome;
struct requests;

struct requests *requests_new(struct daemon *d);
void requests_free(struct requests *r);
/* A control_fn; `user` is the struct requests. */
void requests_handle(const struct control_request *request, void *user);
/* The engine has done something: answers those whose peer is awake now, or will not be. */
void requests_look(struct requests *r);
/* The engine has settled: answers those who wait for it. */
void requests_settled(struct requests *r);
/* A network_done_fn: what a client asked of the network has ended. */
void requests_network_done(
	struct requests *r, uint32_t client, const struct network_outcome *outcome);
