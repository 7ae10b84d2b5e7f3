/* agent/tune/cpuset.c - sets of processors as the kernel writes them. */
#include "agent/tune/cpuset.h"

#include <errno.h>
#include <string.h>

enum { GROUP = 32 }; /* CPUs in a part of a mask */

/* Digits at *at, which moves behind them. */
static int parse_cpu(const char **at, unsigned *ret)
{
	const char *s = *at;
	unsigned cpu = 0;

	if (!g_ascii_isdigit(*s))
		return -EINVAL;
	for (; g_ascii_isdigit(*s); s++) {
		cpu = cpu * 10 + (unsigned)g_ascii_digit_value(*s);
		if (cpu >= CPUSET_MAX)
			return -ERANGE;
	}
	*at = s;
	*ret = cpu;
	return 0;
}

static int parse_range(const char **at, struct cpuset *set)
{
	unsigned first, last;
	int r;

	r = parse_cpu(at, &first);
	if (r < 0)
		return r;
	last = first;
	if (**at == '-') {
		(*at)++;
		r = parse_cpu(at, &last);
		if (r < 0)
			return r;
	}
	if (last < first)
		return -EINVAL;
	for (unsigned cpu = first; cpu <= last; cpu++)
		cpuset_add(set, cpu);
	return 0;
}

int cpuset_parse_list(const char *text, struct cpuset *ret)
{
	struct cpuset set = { 0 };
	int r;

	while (*text) {
		r = parse_range(&text, &set);
		if (r < 0)
			return r;
		if (*text == ',' && text[1])
			text++;
		else if (*text)
			return -EINVAL;
	}
	*ret = set;
	return 0;
}

/* From the lowest digit up: each stands for four CPUs, and the commas for nothing. */
int cpuset_parse_mask(const char *text, struct cpuset *ret)
{
	struct cpuset set = { 0 };
	unsigned cpu = 0, in_group = 0;

	for (size_t i = strlen(text); i > 0; i--) {
		int digit = g_ascii_xdigit_value(text[i - 1]);

		if (text[i - 1] == ',' && in_group) {
			cpu += GROUP - in_group;
			in_group = 0;
			continue;
		}
		if (digit < 0 || in_group == GROUP)
			return -EINVAL;
		for (unsigned bit = 0; bit < 4; bit++) {
			if (!(digit >> bit & 1))
				continue;
			if (cpu + bit >= CPUSET_MAX)
				return -ERANGE;
			cpuset_add(&set, cpu + bit);
		}
		cpu += 4;
		in_group += 4;
	}
	if (in_group == 0)
		return -EINVAL;
	*ret = set;
	return 0;
}

char *cpuset_format_list(const struct cpuset *set)
{
	GString *s = g_string_new(NULL);

	for (int first = cpuset_next(set, 0), last; first >= 0;
		first = cpuset_next(set, (unsigned)last + 1)) {
		for (last = first; cpuset_has(set, (unsigned)last + 1); last++)
			;
		g_string_append_printf(
			s, last > first ? "%s%d-%d" : "%s%d", s->len ? "," : "", first, last);
	}
	return g_string_free(s, FALSE);
}

/* As the kernel does: the highest group is as wide as it has to be. */
char *cpuset_format_mask(const struct cpuset *set, unsigned n_possible)
{
	unsigned n = CLAMP(n_possible, 1, CPUSET_MAX);
	unsigned top = (n - 1) / GROUP;
	int width = (int)((n - 1) % GROUP / 4) + 1;
	GString *s = g_string_new(NULL);

	for (unsigned i = top + 1; i > 0; i--) {
		uint32_t group = (uint32_t)(set->bits[(i - 1) / 2] >> ((i - 1) % 2 * GROUP));

		if (i - 1 == top && n % GROUP)
			group &= (UINT32_C(1) << n % GROUP) - 1;
		g_string_append_printf(s, i - 1 == top ? "%0*x" : ",%0*x", width, group);
		width = GROUP / 4;
	}
	return g_string_free(s, FALSE);
}

void cpuset_add(struct cpuset *set, unsigned cpu)
{
	if (cpu < CPUSET_MAX)
		set->bits[cpu / 64] |= UINT64_C(1) << cpu % 64;
}

bool cpuset_has(const struct cpuset *set, unsigned cpu)
{
	return cpu < CPUSET_MAX && set->bits[cpu / 64] >> cpu % 64 & 1;
}

bool cpuset_is_empty(const struct cpuset *set)
{
	return cpuset_next(set, 0) < 0;
}

bool cpuset_is_equal(const struct cpuset *a, const struct cpuset *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

unsigned cpuset_count(const struct cpuset *set)
{
	unsigned n = 0;

	for (size_t i = 0; i < G_N_ELEMENTS(set->bits); i++)
		n += (unsigned)__builtin_popcountll(set->bits[i]);
	return n;
}

void cpuset_remove_all(struct cpuset *set, const struct cpuset *less)
{
	for (size_t i = 0; i < G_N_ELEMENTS(set->bits); i++)
		set->bits[i] &= ~less->bits[i];
}

void cpuset_keep_only(struct cpuset *set, const struct cpuset *those)
{
	for (size_t i = 0; i < G_N_ELEMENTS(set->bits); i++)
		set->bits[i] &= those->bits[i];
}

int cpuset_next(const struct cpuset *set, unsigned from)
{
	for (size_t i = from / 64; i < G_N_ELEMENTS(set->bits); i++) {
		uint64_t bits = set->bits[i];

		if (i == from / 64)
			bits &= UINT64_MAX << from % 64;
		if (bits)
			return (int)(i * 64) + __builtin_ctzll(bits);
	}
	return -1;
}
