/* agent/tune/sample_parse.h - files of /proc into a sample. Pure: what is not as expected is passed over. */
#pragma once

#include <stdbool.h>

#include "agent/tune/sample.h"

/* /proc/stat: appends a struct sample_cpu for each CPU that is online, by rising number. */
void sample_parse_stat(const char *text, GArray *cpus);
/* /proc/softirqs and /proc/net/softnet_stat: into the CPUs that are there. */
void sample_parse_softirqs(const char *text, GArray *cpus);
void sample_parse_softnet(const char *text, GArray *cpus);
/* /proc/interrupts: into the per_cpu of those of `irqs` that are in it. */
void sample_parse_interrupts(const char *text, const GArray *cpus, GArray *irqs);
/* /proc/net/snmp and snmp6: added to what is there. */
void sample_parse_snmp(const char *text, struct sample_udp *udp);
void sample_parse_snmp6(const char *text, struct sample_udp *udp);
/* /proc/net/stat/nf_conntrack: insert_failed, drop and early_drop of all CPUs. */
uint64_t sample_parse_conntrack(const char *text);
/* Does a driver call a packet's loss so? */
bool sample_is_drop(const char *statistic);
