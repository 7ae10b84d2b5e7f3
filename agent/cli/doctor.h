/* agent/cli/doctor.h - what of a host stands in the way of a mesh, and what to do about it. Pure over the files of the
 * host and a few facts that no file tells. */
#pragma once

#include <glib.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/tune/tree.h"

enum doctor_result {
	DOCTOR_OK,
	DOCTOR_NOTE, /* good to know, or could not be seen */
	DOCTOR_WARNING, /* will go wrong one day, or for some */
	DOCTOR_PROBLEM, /* goes wrong */
};

enum doctor_clock { DOCTOR_CLOCK_UNKNOWN, DOCTOR_CLOCK_FREE, DOCTOR_CLOCK_SYNCED };

struct doctor_facts {
	char iface[IFNAMSIZ];
	int listen_port;
	int64_t now_s; /* wall clock */
	enum doctor_clock clock;
	/* Whether the kernel can do it: 0 or -errno. It is asked where its modules are not to be seen, as asking may
	 * load them; else it is -ENODATA. */
	int wireguard, nft;
	bool running; /* the daemon answers; it says: */
	char state[32], reason[256];
};

struct doctor_finding {
	const char *check; /* "rp_filter" */
	enum doctor_result result;
	char *message;
	char *fix; /* NULL: none is needed */
};

/* struct doctor_finding: one or more of each check, in the order of the checks. Free with g_array_unref. */
GArray *doctor_examine(const struct tree *tree, const struct doctor_facts *facts);
const char *doctor_result_name(enum doctor_result result);
/* The worst of all. */
enum doctor_result doctor_worst(const GArray *findings);

/* -- inside of doctor*.c ---------------------------------------------------------------------- */

struct doctor_process {
	unsigned pid;
	char *name; /* as the kernel knows it: at most 15 bytes */
};

struct doctor {
	const struct tree *tree;
	const struct doctor_facts *facts;
	GArray *processes; /* struct doctor_process */
	GArray *findings;
	const char *check; /* whose turn it is */
};

typedef void (*doctor_check_fn)(struct doctor *d);

void doctor_say(struct doctor *d, enum doctor_result result, char *message, char *fix);
void doctor_ok(struct doctor *d, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* The first process of this name; 0: there is none. */
unsigned doctor_find_process(const struct doctor *d, const char *name);
/* The fresh value of `key` in `section` of a text like those of systemd; the last counts. NULL: it has none. */
char *doctor_ini(const char *text, const char *section, const char *key);
/* A whole number in a file; `otherwise` where it is not. */
int64_t doctor_int(const struct doctor *d, int64_t otherwise, const char *format, ...)
	G_GNUC_PRINTF(3, 4);
/* In a container the kernel is that of its host. */
bool doctor_in_container(const struct doctor *d);

void doctor_check_daemon(struct doctor *d);
void doctor_check_kernel(struct doctor *d);
void doctor_check_module(struct doctor *d);
void doctor_check_capabilities(struct doctor *d);
void doctor_check_nft(struct doctor *d);
void doctor_check_rp_filter(struct doctor *d);
void doctor_check_mtu(struct doctor *d);
void doctor_check_port(struct doctor *d);
void doctor_check_clock(struct doctor *d);
void doctor_check_networkd(struct doctor *d);
void doctor_check_network_manager(struct doctor *d);
void doctor_check_firewalld(struct doctor *d);
void doctor_check_ufw(struct doctor *d);
void doctor_check_docker(struct doctor *d);
void doctor_check_agents(struct doctor *d);
