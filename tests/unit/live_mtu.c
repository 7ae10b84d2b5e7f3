/* tests/unit/live_mtu.c - what lapwing tune mtu --json prints, a document a line: of paths that take WireGuard, and several
 * hosts, to be measured. For tests/cli/test_schemas.py. */
#include <string.h>
#include <sys/socket.h>

#include "agent/cli/tune_mtu.h"

static const struct endpoint v4 = { .family = AF_INET, .port = 51820, .addr = { 192, 0, 2, 1 } },
			     v6 = { .family = AF_INET6,
				     .port = 51820,
				     .addr = { 0x20, 1, 0xd, 0xb8 } };

static void write_paths(
	struct tune_paths *m, struct pathmtu_target *targets, struct tune_peer *peers, unsigned n)
{
	m->asked = g_ptr_array_new();
	m->targets = targets;
	m->best = UINT32_MAX;
	for (unsigned i = 0; i < n; i++) {
		g_ptr_array_add(m->asked, &peers[i]);
		m->best = MIN(m->best, pathmtu_inner(&targets[i]));
	}
	tune_paths_write(m);
	g_ptr_array_unref(m->asked);
}

int main(void)
{
	struct tune_peer peers[] = { { .name = (char *)"office" },
		{ .name = (char *)"h\xc3\xb6me" }, { .name = (char *)"away" } };
	struct pathmtu_target targets[] = {
		{ .to = v4, .mtu = 1500, .method = PATHMTU_ECHO },
		{ .to = v6, .mtu = 1492, .method = PATHMTU_STUN },
		{ .mtu = 0 }, /* nobody knows where it is */
	};
	struct tune_paths m = { .peers = { .interface = "wt0", .mtu = 1420, .owned = true } };

	write_paths(&m, targets, peers, 2); /* as measured */
	m.changed = true;
	write_paths(&m, targets, peers, 2);
	m.changed = false;
	write_paths(&m, targets, peers, 3); /* what fits everywhere is unknown */
	m.peers.owned = false;
	targets[1].mtu = 0; /* it does not answer */
	write_paths(&m, targets, peers, 2);
	write_paths(&m, targets, peers, 1);
	return 0;
}
