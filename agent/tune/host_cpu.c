/* agent/tune/host_cpu.c - the processors of a host. */
#include <errno.h>

#include "agent/tune/host_impl.h"

#define CPUS "/sys/devices/system/cpu/"

/* 0 or -errno. What is no list, as nohz_full's "(null)", is the empty one. */
static int read_list(const struct tree *tree, const char *path, struct cpuset *ret)
{
	g_autofree char *text = NULL;
	int r;

	*ret = (struct cpuset){ 0 };
	r = tree_read(tree, path, &text);
	if (r == 0)
		r = cpuset_parse_list(text, ret);
	return r;
}

static unsigned count_possible(const struct cpuset *set)
{
	unsigned n = 0;

	for (int cpu = cpuset_next(set, 0); cpu >= 0; cpu = cpuset_next(set, n))
		n = (unsigned)cpu + 1;
	return n;
}

int host_scan_cpus(struct scan *s)
{
	struct host *h = s->host;
	struct cpuset possible, isolated, adaptive;
	int r;

	r = read_list(s->tree, CPUS "online", &h->online);
	if (r == 0 && cpuset_is_empty(&h->online))
		r = -EINVAL;
	if (r < 0) {
		g_snprintf(
			s->error, HOST_TEXT_MAX, "cannot read " CPUS "online: %s", g_strerror(-r));
		return r;
	}
	read_list(s->tree, CPUS "possible", &possible);
	read_list(s->tree, CPUS "isolated", &isolated);
	read_list(s->tree, CPUS "nohz_full", &adaptive);
	h->n_possible = MAX(count_possible(&possible), count_possible(&h->online));
	h->usable = h->online;
	cpuset_remove_all(&h->usable, &isolated);
	cpuset_remove_all(&h->usable, &adaptive);
	if (cpuset_is_empty(&h->usable))
		h->usable = h->online;
	return 0;
}
