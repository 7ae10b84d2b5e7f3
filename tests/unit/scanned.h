/* tests/unit/scanned.h - a made-up host that has been looked at. */
#pragma once

#include <glib.h>

#include "agent/tune/host.h"
#include "tests/unit/fake_host.h"

struct scanned {
	char *root;
	struct tree *tree;
	struct nics *nics;
	struct host *host;
	char error[HOST_TEXT_MAX];
};

static inline int look(struct scanned *s, const char *underlay, const char *iface)
{
	struct host_wish wish = { underlay, iface };

	g_clear_pointer(&s->host, host_free);
	return host_scan(s->tree, s->nics, &wish, &s->host, s->error);
}

static inline void begin(struct scanned *s, const struct fake_host *want)
{
	*s = (struct scanned){ .root = fake_host_make(want) };
	g_assert_cmpint(tree_open(s->root, &s->tree), ==, 0);
	g_assert_cmpint(nics_open_files(s->root, &s->nics), ==, 0);
	g_assert_cmpint(look(s, NULL, NULL), ==, 0);
}

static inline void end(struct scanned *s)
{
	host_free(s->host);
	nics_close(s->nics);
	tree_close(s->tree);
	fake_host_remove(s->root);
}

static inline const struct host_nic *nic(const struct scanned *s, unsigned i)
{
	g_assert_cmpuint(i, <, s->host->nics->len);
	return s->host->nics->pdata[i];
}

static inline const struct host_irq *irq(const struct host_nic *n, unsigned i)
{
	g_assert_cmpuint(i, <, n->irqs->len);
	return &g_array_index(n->irqs, struct host_irq, i);
}

static inline void assert_list(const struct cpuset *set, const char *want)
{
	g_autofree char *list = cpuset_format_list(set);

	g_assert_cmpstr(list, ==, want);
}
