/* mgmt/update_impl.h - a message of a server while it is read; for mgmt/update*.c only. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/addr.h"
#include "mgmt/detail.h"
#include "mgmt/netmap.h"
#include "mgmt/wire.h"

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
bool update_text_is_good(const char *s, size_t max);
/* A name of a host or a domain: lower case, no dot at its end. 0: it is none. */
size_t update_normal_name(const char *s, char ret[static UPDATE_NAME_MAX + 1]);
/* The same, where "*." before it stands for all names below. */
size_t update_normal_domain(const char *s, char ret[static UPDATE_NAME_MAX + 3]);
/* Something was left out or taken otherwise than the server says. Foreign text in it is escaped. */
void update_note(struct update_reading *r, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
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
void update_read_offline(struct update_reading *r, struct wire_bytes peer);
void update_read_forward(struct update_reading *r, struct wire_bytes forward);
void update_wake_forwards(struct update_reading *r);

void update_read_rule(struct update_reading *r, struct wire_bytes rule);
void update_finish_rules(struct update_reading *r, bool sent, bool is_empty);

void update_read_route(struct update_reading *r, struct wire_bytes route);
void update_apply_routes(struct update_reading *r);

void update_read_dns(struct update_reading *r, struct wire_bytes dns);

void update_read_servers(struct update_reading *r, struct wire_bytes config);
void update_read_checks(struct update_reading *r, struct wire_bytes checks);
void update_finish_checks(struct update_reading *r);
void update_read_session(struct update_reading *r, struct wire_bytes time);
