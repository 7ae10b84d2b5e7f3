/* tests/unit/live.h - the kernel at hand, in a network namespace of the test's own. */
#pragma once

#include <errno.h>
#include <glib.h>
#include <sched.h>
#include <string.h>

#include "netlink/link.h"
#include "netlink/nl.h"

/* False: skipped, and said so. Sockets opened before stay where they are. */
static inline bool live_namespace(void)
{
	if (unshare(CLONE_NEWNET) == 0)
		return true;
	g_test_skip("no network namespace of our own: not root");
	return false;
}

/* An interface that is up, veth wt0; 0: skipped. */
static inline unsigned live_link(struct nl **ret_nl)
{
	const struct link_change up = { .mtu = 1380, .up = 1 };
	unsigned index;
	int r;

	if (!live_namespace())
		return 0;
	g_assert_cmpint(nl_open(NETLINK_ROUTE, ret_nl), ==, 0);
	r = link_create(*ret_nl, "wt0", "veth", &index);
	if (r == -EOPNOTSUPP) {
		nl_close(*ret_nl);
		g_test_skip("no veth in this kernel");
		return 0;
	}
	g_assert_cmpint(r, ==, 0);
	g_assert_cmpint(link_set(*ret_nl, index, &up), ==, 0);
	return index;
}
