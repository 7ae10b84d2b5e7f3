/* agent/tune/measure.h - what a scenario showed, and whether a knob has helped. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "agent/tune/iperf.h"
#include "agent/tune/sample.h"

/* One run of one scenario. */
struct measurement {
	enum iperf_scenario scenario;
	struct iperf_result traffic;
	double seconds;
	double top_softirq; /* per cent, of the core with the most of it */
	unsigned top_cpu;
	double busy; /* per cent of all cores */
	uint64_t softnet_drops, nic_drops, link_drops, udp_errors;
	GArray *cores; /* struct measurement_core */
};

struct measurement_core {
	unsigned cpu;
	double user, system, softirq, idle; /* per cent */
};

/* Fills in all but the traffic. `delta`: the difference of two samples. */
void measurement_note(struct measurement *m, const struct sample *delta);
void measurement_clear(struct measurement *m);
/* The four counters together. */
uint64_t measurement_drops(const struct measurement *m);

/* Pure: the band in which repeated runs of the same lie, as a share of their mean; at least NOISE_MIN. */
#define MEASURE_NOISE_MIN 0.02
double measure_noise(const struct measurement *runs, size_t n);

enum verdict { VERDICT_KEPT, VERDICT_SLOWER, VERDICT_DROPS };

/* Pure: without it, with it, without it again. It is kept when the throughput did not fall out of the band
 * below both of its neighbours' mean, and no more was dropped than a trifle. */
enum { MEASURE_DROPS_TRIVIAL = 100 };
enum verdict measure_judge(const struct measurement *before, const struct measurement *with,
	const struct measurement *after, double noise);
const char *measure_verdict_name(enum verdict verdict);
