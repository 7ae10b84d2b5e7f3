/* agent/tune/iperf.h - runs iperf3(1) against a peer and reads what it says. */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The five of the field guide, section 2.1. */
enum iperf_scenario {
	IPERF_TCP_FORWARD,
	IPERF_TCP_REVERSE,
	IPERF_UDP_1200,
	IPERF_UDP_64,
	IPERF_SINGLE,
	IPERF_SCENARIOS
};

struct iperf_result {
	double bits_per_s; /* that arrived */
	double packets_per_s; /* UDP; else 0 */
	uint64_t retransmits, lost;
};

/* "tcp_forward", "tcp_reverse", "udp_1200", "udp_64", "single_flow" */
const char *iperf_name(enum iperf_scenario scenario);
/* Words of its command line, ended by NULL; the texts are valid until the next call. */
enum { IPERF_WORDS_MAX = 16 };
void iperf_words(enum iperf_scenario scenario, const char *peer, int seconds,
	const char *ret[static IPERF_WORDS_MAX]);
/* What iperf3 -J has printed. -EBADMSG: not that; -EREMOTEIO: it failed, `error` says why. */
int iperf_parse(const char *json, size_t len, struct iperf_result *ret, char error[static 256]);
/* Runs it to its end, or ends it when *stop is set. -ENOENT: there is no iperf3; else as above. */
int iperf_run(enum iperf_scenario scenario, const char *peer, int seconds,
	const volatile sig_atomic_t *stop, struct iperf_result *ret, char error[static 256]);
