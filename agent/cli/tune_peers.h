/* agent/cli/tune_peers.h - the peers of a WireGuard interface and where they really are: from the daemon
 * that owns it, else from the kernel. */
#pragma once

#include <net/if.h>

#include "agent/base/addr.h"
#include "agent/cli/output.h"

struct tune_peer {
	char *name; /* its key, when nobody has given it a name */
	GPtrArray *addresses; /* text, inside */
	struct endpoint endpoint; /* family 0: none is known */
};

struct tune_peers {
	char interface[IFNAMSIZ];
	uint32_t mtu, mark;
	bool owned; /* by a daemon, which sets its MTU */
	bool measured; /* and by what somebody has measured */
	GPtrArray *list; /* struct tune_peer */
};

/* NULL: nobody answers. Free with json_decref. */
json_t *tune_ask_daemon(const struct options *o, const char *command);
/* `iface` NULL: the daemon's, or the only one there is. Zero *ret before; free with tune_peers_clear. */
enum exit_code tune_peers_find(
	const struct options *o, const char *iface, struct tune_peers *ret, struct failure *f);
void tune_peers_clear(struct tune_peers *peers);
/* The one with this name, key, inner or outer address; NULL: none. */
const struct tune_peer *tune_peers_match(const struct tune_peers *peers, const char *word);
