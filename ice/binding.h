/* ice/binding.h - Binding requests on one UDP port: ours to STUN servers, and those of peers that are connected.
 *
 * The port is one of those whose packets are led over WireGuard's port (netlink/steer.h), so what a STUN server says
 * is where the world sees WireGuard. Peers whose session has no libnice agent any more (ice/agent.h) may still send
 * checks, some for ever, and take silence for the end: requests with the ufrag of such a session, led to this
 * port, are answered here, which costs a few hundred bytes for a session. IPv4 and IPv6. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/addr.h"

struct binding;

enum { BINDING_SERVERS_MAX = 8, BINDING_LIMIT_MS = 5 * 1000 };

struct binding_ops {
	/* A server's answer. */
	void (*mapped)(const struct endpoint *server, const struct endpoint *mapped, void *user);
	/* A request of that session's other side was answered. May be NULL. */
	void (*checked)(const char *ufrag, const struct endpoint *from, void *user);
};

/* 0 or a negative errno; -EADDRINUSE: take another port. binding_close may be called inside of `mapped`. */
int binding_open(uint16_t port, const struct binding_ops *ops, void *user, struct binding **ret);
void binding_close(struct binding *b);

/* Asks all of them, those beyond BINDING_SERVERS_MAX excepted, again and again for at most BINDING_LIMIT_MS. What was
 * asked before is forgotten. */
void binding_ask(struct binding *b, const struct endpoint *servers, size_t n);

/* Requests whose USERNAME begins with this ufrag and a colon, and that know the password. */
void binding_answer(struct binding *b, const char *ufrag, const char *password);
bool binding_forget(struct binding *b, const char *ufrag); /* returns whether it was there */
