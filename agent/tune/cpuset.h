/* agent/tune/cpuset.h - sets of processors, and the two ways in which the kernel writes them. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

enum { CPUSET_MAX = 4096 };

struct cpuset {
	uint64_t bits[CPUSET_MAX / 64];
};

/* "0-3,8,10-11"; "" is the empty set. -EINVAL, or -ERANGE: beyond CPUSET_MAX. */
int cpuset_parse_list(const char *text, struct cpuset *ret);
/* "ff", "00000001,ffffffff": groups of 32 bits, the highest first. */
int cpuset_parse_mask(const char *text, struct cpuset *ret);
/* Fresh text (g_free). A mask has as many groups as `n_possible` CPUs need, so that the kernel never
 * says that it is too large. */
char *cpuset_format_list(const struct cpuset *set);
char *cpuset_format_mask(const struct cpuset *set, unsigned n_possible);

void cpuset_add(struct cpuset *set, unsigned cpu);
bool cpuset_has(const struct cpuset *set, unsigned cpu);
bool cpuset_is_empty(const struct cpuset *set);
bool cpuset_is_equal(const struct cpuset *a, const struct cpuset *b);
unsigned cpuset_count(const struct cpuset *set);
void cpuset_remove_all(struct cpuset *set, const struct cpuset *less);
void cpuset_keep_only(struct cpuset *set, const struct cpuset *those);
/* The next member from `from` on, or -1. */
int cpuset_next(const struct cpuset *set, unsigned from);
