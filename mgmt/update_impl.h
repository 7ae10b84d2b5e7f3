/* mgmt/update_impl.h - a message of a server while it is read; for mgmt/update*.c only. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/addr.h"
#include "mgmt/detail.h"
#include "mgmt/netmap.h"
#include "agent/base/wire.h"

enum { UPDATE_MAP_PEERS = 3 }; /* a field of NetworkMap */

struct ProtobufCAllocator;
struct uniq;
struct update;
struct update_limits;

enum { UPDATE_NAME_MAX = NETMAP_FQDN_MAX, UPDATE_TEXT_MAX = 1024 };

/* Texts one behind the other; offset 0 is "". */
struct update_texts {
	char *s;
	size_t len, cap;
};

struct update_reading {
	const struct update_limits *limits;
	struct update *update;
	struct netmap *map;
	struct detail *detail;
	struct update_texts names, texts; /* of the map and of the detail */
	struct update_arena *arena;
	/* What hosts are called, and whose addresses there are (in `map`). */
	struct uniq *taken_names, *taken_addresses;
	struct prefix *forwards; /* to whom ports are forwarded */
	size_t n_forwards, n_files;
	const struct netmap *last; /* NULL: everything is read anew */
	bool rules_odd; /* something was noted about them */
	bool has_v6; /* an address of ours in the IPv6 overlay */
	bool drop_all; /* a rule that drops could not be read */
};

/* -- update_text.c: memory, texts, notes -- */

/* One message element is unpacked at a time, into memory that the next one takes over. */
struct ProtobufCAllocator *update_arena(struct update_reading *r);
struct update_arena *update_arena_new(void);
void update_arena_free(struct update_arena *arena);

/* Room for one more behind `n`, which alone decides how much there is: always and only call it before
 * each is added. */
void *update_room(void *array, size_t n, size_t item);

uint32_t update_add_text(struct update_texts *texts, const char *s, size_t len);
/* UTF-8 without control characters, 1 to `max` bytes. */
bool update_text_is_good(const char *s, size_t len, size_t max);
/* A name of a host or a domain: lower case, no dot at its end. 0: it is none. */
size_t update_normal_name(const char *s, size_t len, char ret[static UPDATE_NAME_MAX + 1]);
/* The same, where "*." before it stands for all names below. */
size_t update_normal_domain(const char *s, size_t len, char ret[static UPDATE_NAME_MAX + 3]);
/* Something was left out or taken otherwise than the server says. Foreign text in it is escaped. */
void update_note(struct update_reading *r, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* For "%.*s" in a note: the beginning of bytes that should be text. */
#define UPDATE_SHOWN(bytes) (int)MIN((bytes).len, 300), (const char *)(bytes).data
/* Several joined by ", "; `add` of NULL ends it. */
struct update_list {
	struct update_texts *texts;
	uint32_t begin;
};
void update_list_add(struct update_list *list, const char *s, size_t len);

/* -- parts -- */

/* "100.92.3.4/16": the address, and what of it is the network. */
bool update_split_address(const char *text, struct prefix *ret_host, struct prefix *ret_network);
void update_mask(struct prefix *p); /* bits behind the length become zero */
/* Our own addresses, and what is inside our overlay networks. */
bool update_is_of_overlay(const struct update_reading *r, const struct prefix *p);

int update_read_self(struct update_reading *r, struct wire_bytes config, char *error);
void update_read_peer(struct update_reading *r, struct wire_bytes peer);
void update_add_prefix(struct netmap *map, const struct prefix *p);
/* The host behind the last one, with what is the same for all. */
struct netmap_host *update_begin_host(struct netmap *map, const struct wg_key *key);
/* Puts the host behind the last one, as it is now, into the map. False: its key is there already. */
bool update_finish_host(struct update_reading *r, struct netmap_source source);
void update_read_offline(struct update_reading *r, struct wire_bytes peer);
void update_read_forward(struct update_reading *r, struct wire_bytes forward);
void update_wake_forwards(struct update_reading *r);

void update_read_rule(struct update_reading *r, struct wire_bytes rule);
void update_finish_rules(struct update_reading *r, bool sent, bool is_empty);

/* -- update_same.c: what did not change since the last map -- */

bool update_is_comparable(const struct update_reading *r, const struct netmap *last);
/* All peers of `map`, a few of them read and all others copied from r->last. False: the map has to be read
 * again from its beginning, without a last one. */
bool update_copy_peers(struct update_reading *r, struct wire_bytes map);
void update_copy_rules(struct update_reading *r);

void update_read_route(struct update_reading *r, struct wire_bytes route);
void update_apply_routes(struct update_reading *r);

void update_read_dns(struct update_reading *r, struct wire_bytes dns);

void update_read_servers(struct update_reading *r, struct wire_bytes config);
void update_read_checks(struct update_reading *r, struct wire_bytes checks);
void update_finish_checks(struct update_reading *r);
void update_read_session(struct update_reading *r, struct wire_bytes time);
