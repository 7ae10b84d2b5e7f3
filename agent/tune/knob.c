/* agent/tune/knob.c - names of what can be tuned, and the nearest to a name that there is not. */
#include "agent/tune/knob.h"

#include <errno.h>
#include <glib.h>
#include <stdbool.h>
#include <string.h>

static const struct {
	const char *name, *help, *section;
} knobs[KNOBS] = {
	[KNOB_CHANNELS] = { "channels", "queues of the NIC: one for each usable CPU", "4.1" },
	[KNOB_RINGS] = { "rings", "length of the NIC's queues: 4096 packets", "4.6" },
	[KNOB_IRQBALANCE] = { "irqbalance", "has it leave the NIC's interrupts alone", "4.2" },
	[KNOB_IRQ] = { "irq", "each queue's interrupt on a CPU of its own", "4.2" },
	[KNOB_BACKLOG] = { "backlog", "packets that may wait for a CPU: 10000", "4.5" },
	[KNOB_BUDGET] = { "budget", "packets that a CPU takes at once: 600", "4.5" },
	[KNOB_BUDGET_USECS] = { "budget-usecs", "how long it may take: 8000", "4.5" },
	[KNOB_RPS] = { "rps", "received packets are spread over CPUs", "4.3" },
	[KNOB_RFS] = { "rfs", "and go to the CPU of the program that reads them", "4.3" },
	[KNOB_XPS] = { "xps", "each transmit queue has CPUs of its own", "" },
	[KNOB_FLOW_HASH] = { "flow-hash", "the NIC spreads UDP by ports too: sdfn", "4.4" },
	[KNOB_RSS] = { "rss", "the NIC spreads evenly over its queues", "4.4" },
	[KNOB_RMEM] = { "rmem", "largest receive buffer of a socket: 16 MiB", "4.7" },
	[KNOB_WMEM] = { "wmem", "largest send buffer of a socket: 16 MiB", "4.7" },
	[KNOB_TCP_RMEM] = { "tcp-rmem", "receive buffer of TCP: at most 16 MiB", "4.7" },
	[KNOB_TCP_WMEM] = { "tcp-wmem", "send buffer of TCP: at most 16 MiB", "4.7" },
	[KNOB_CONGESTION] = { "bbr", "congestion control of TCP", "4.8" },
	[KNOB_QDISC] = { "fq", "queueing discipline: default, and of the NIC", "4.8" },
	[KNOB_MTU] = { "mtu", "MTU of WireGuard: what fits into the underlay's", "4.9" },
	[KNOB_GRO] = { "gro", "hosts that route forward UDP in batches", "" },
	[KNOB_THREADED] = { "threaded", "receiving in threads: warns only, never switched on", "" },
	[KNOB_CONNTRACK] = { "conntrack", "room for connections, when it runs out", "5.2" },
};

const char *knob_name(enum knob knob)
{
	return knobs[knob].name;
}

const char *knob_help(enum knob knob)
{
	return knobs[knob].help;
}

const char *knob_section(enum knob knob)
{
	return knobs[knob].section;
}

int knob_find(const char *name, const char **ret_nearest)
{
	const char *names[KNOBS + 1] = { NULL };

	for (int i = 0; i < KNOBS; i++) {
		if (!strcmp(knobs[i].name, name))
			return i;
		names[i] = knobs[i].name;
	}
	*ret_nearest = nearest_name(name, names);
	return -1;
}

int knob_parse_list(const char *text, uint32_t *ret, char error[static 128])
{
	g_auto(GStrv) words = g_strsplit(text, ",", KNOBS + 1);
	uint32_t set = 0;

	for (char **word = words; *word; word++) {
		const char *nearest;
		int knob = knob_find(*word, &nearest);

		if (knob < 0) {
			g_snprintf(error, 128, "there is no knob '%.40s'; the nearest is %s", *word,
				nearest);
			return -EINVAL;
		}
		set |= UINT32_C(1) << knob;
	}
	if (!set) {
		g_strlcpy(error, "the name of a knob is missing", 128);
		return -EINVAL;
	}
	*ret = set;
	return 0;
}

enum { WORD_MAX = 64 };

static bool is_swapped(const char *a, const char *b)
{
	return a[0] == b[-1] && a[-1] == b[0];
}

/* How many characters have to be put in, taken out, changed, or swapped with the next. */
static unsigned edit_distance(const char *a, const char *b)
{
	size_t len_a = MIN(strlen(a), WORD_MAX), len_b = MIN(strlen(b), WORD_MAX);
	unsigned d[WORD_MAX + 1][WORD_MAX + 1];

	for (size_t i = 0; i <= len_a; i++)
		d[i][0] = (unsigned)i;
	for (size_t k = 0; k <= len_b; k++)
		d[0][k] = (unsigned)k;
	for (size_t i = 1; i <= len_a; i++)
		for (size_t k = 1; k <= len_b; k++) {
			unsigned changed = d[i - 1][k - 1] + (a[i - 1] != b[k - 1]);

			d[i][k] = MIN(changed, MIN(d[i - 1][k], d[i][k - 1]) + 1);
			if (i > 1 && k > 1 && is_swapped(a + i - 1, b + k - 1))
				d[i][k] = MIN(d[i][k], d[i - 2][k - 2] + 1);
		}
	return d[len_a][len_b];
}

const char *nearest_name(const char *word, const char *const *names)
{
	g_autofree char *lower = g_ascii_strdown(word, -1);
	const char *best = NULL;
	unsigned least = G_MAXUINT;

	for (; *names; names++) {
		unsigned distance = edit_distance(lower, *names);

		if (distance < least) {
			least = distance;
			best = *names;
		}
	}
	return best;
}
