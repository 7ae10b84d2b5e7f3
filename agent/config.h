/* agent/config.h - lapwing.json: what this host decides for itself. Const after loading. */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/addr.h"
#include "agent/base/key.h"
#include "agent/base/log.h"
#include "agent/tune/plan.h"

enum {
	CONFIG_SIZE_MAX = 256 * 1024,
	CONFIG_ERROR_MAX = 512,
	CONFIG_ROUTES_MAX = 1024,
	CONFIG_SHORT_PREFIX = 8, /* shorter ones are as good as a default route */
	CONFIG_LABELS_MAX = 32,
	CONFIG_CHECKS_MAX = 64,
	CONFIG_HOSTS_MAX = 4096,
	CONFIG_ENDPOINTS_MAX = 8, /* of one host */
	CONFIG_ICE_MAX = 64, /* external addresses; interfaces */
	CONFIG_DIGEST_LEN = 64,
};

struct config_endpoint {
	struct endpoint address; /* family 0: look up `name`; the port holds */
	char *name; /* NULL: it is an address */
};

/* Where a host of a server's map is, whatever else is found out about that. */
struct config_host {
	char *host; /* its name or its public key */
	struct config_endpoint endpoints[CONFIG_ENDPOINTS_MAX];
	size_t n_endpoints;
};

enum push_mode { PUSH_OFF, PUSH_SERVER, PUSH_ON };
enum firewall_policy { FIREWALL_AUTO, FIREWALL_OFF, FIREWALL_ON };

struct config {
	char *mesh_file; /* NULL: no mesh, only serve the socket */
	char *private_key_file; /* NULL: STATE/private.key */
	struct {
		bool given;
		char *ca_file, *ca_dir; /* NULL: the system's */
		char *client_cert, *client_key; /* both or none */
		char *hostname; /* NULL: that of the host */
		char **dns_labels; /* NULL-terminated; NULL: none */
		int map_max_age_h; /* an older map is not used; 0: none is that was not just received */
	} management;
	struct config_host *hosts; /* "endpoints"; NULL: not given */
	size_t n_hosts;
	struct { /* NULL-terminated; NULL: not given */
		char **external_ips; /* as gather_map_parse reads them */
		char **interfaces_exclude; /* what their names begin with */
	} ice;
	struct { /* samples of how long connections took, sent to a server of metrics */
		bool given;
		enum push_mode push; /* server: where the network's server wants it */
		char *server_url; /* NULL: as the configuration of that server says */
		char *config_url; /* where that is; NULL: the usual place */
		int interval_s; /* 0: as it says */
		bool force; /* there is none, and no version is asked for */
	} metrics;
	struct {
		char name[IFNAMSIZ]; /* "": as the mesh file says */
		int listen_port; /* -1: as the mesh file says */
		int mtu; /* -1: as the mesh file says, 0: auto */
		int64_t fwmark; /* -1: the listen port, also the number of our routing table */
		bool adopt; /* may take over an interface that it did not make */
	} interface;
	struct {
		bool default_route; /* accept routes for (nearly) everything */
		bool dns;
		struct prefix *routes; /* accepted routed prefixes lie in one of these */
		size_t n_routes;
		bool routes_given; /* false: every prefix but a default route */
		uint32_t max_peers;
		enum firewall_policy firewall; /* auto: where the map has rules */
		char **file_checks; /* prefixes of paths that a server may ask about; NULL: none */
		bool jobs; /* a server's jobs are answered, with "not implemented"; else refused */
	} policy;
	struct {
		bool apply_on_start; /* the host's settings, by lapwing-tune.service */
		uint32_t only, skip; /* bits of knobs */
		enum irqbalance_mode irqbalance;
		char underlay[IFNAMSIZ]; /* "": find it */
	} tune;
	struct {
		enum log_level level;
		enum log_target target;
		char *file;
	} log;
	char digest[CONFIG_DIGEST_LEN + 1]; /* of the file's text, SHA-256; "": it is from none */
};

/* Pure: text to struct. 0, or -EINVAL with one line "line 3: policy.max_peers: ..." in `error`. On
 * failure *ret is untouched. `{}` is valid. */
int config_parse(
	const char *text, size_t len, struct config *ret, char error[static CONFIG_ERROR_MAX]);
/* The same from a file that only root or we may write; `error` begins with the path. */
int config_load(const char *path, struct config *ret, char error[static CONFIG_ERROR_MAX]);
void config_done(struct config *config);
void config_digest(const char *text, size_t len, char ret[static CONFIG_DIGEST_LEN + 1]);
/* May this prefix be routed to a peer? False for what is as good as a default route (IPv4 shorter
 * than /8, IPv6 shorter than /8) unless allowed, and for what lies outside policy.routes. */
bool config_allows_route(const struct config *config, const struct prefix *route);
/* The endpoints that are given for a host by its public key or by its name; NULL: none. `name` may be a
 * whole domain name: then its first label counts as well. NULL is fine for either. */
const struct config_host *config_find_host(
	const struct config *config, const char *name, const struct wg_key *key);
