/* agent/cli/cmd_doctor.c - doctor: gathers what no file tells, and shows what was found. */
#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timex.h>
#include <sys/utsname.h>

#include "agent/base/jwrite.h"
#include "agent/cli/client.h"
#include "agent/cli/cmd.h"
#include "agent/cli/cmd_doctor.h"
#include "agent/cli/doctor.h"
#include "agent/cli/wanted.h"
#include "mgmt/netmap.h"
#include "netlink/nl.h"
#include "netlink/wg.h"

enum { DEFAULT_PORT = 51820 };
#define DEFAULT_NAME "wt0"

/* -- facts ------------------------------------------------------------------------------------ */

static void take_interface(struct doctor_facts *facts, const char *name, int64_t port)
{
	if (*name)
		g_strlcpy(facts->iface, name, sizeof(facts->iface));
	if (port > 0 && port <= UINT16_MAX)
		facts->listen_port = (int)port;
}

static void ask_daemon(const struct options *o, struct doctor_facts *facts)
{
	struct failure f;
	json_t *status = client_ask_parsed(o, client_request("status"), &f), *interface;

	if (!status)
		return;
	interface = json_object_get(status, "interface");
	facts->running = true;
	g_strlcpy(facts->state, get_text(status, "state"), sizeof(facts->state));
	g_strlcpy(facts->reason, get_text(status, "reason"), sizeof(facts->reason));
	take_interface(facts, get_text(interface, "name"), get_int(interface, "listen_port"));
	json_decref(status);
}

/* Whoever does not run yet would use these. */
static void read_files(const struct options *o, struct doctor_facts *facts)
{
	char error[CONFIG_ERROR_MAX];
	struct netmap *map = NULL;
	struct config config;
	struct failure f;

	if (config_load(o->config ? o->config : CONFIG_DEFAULT, &config, error) < 0)
		return;
	if (config.mesh_file && wanted_mesh(&config, &map, &f) == EXIT_OK)
		take_interface(facts, map->interface.name, map->interface.listen_port);
	netmap_free(map);
	config_done(&config);
}

static int probe_wireguard(void)
{
	struct wg *wg = NULL;
	int r = wg_open(&wg);

	wg_close(wg);
	return r;
}

static int probe_nft(void)
{
	struct nl_request q;
	struct nl *nl = NULL;
	int r = nl_open(NETLINK_NETFILTER, &nl);

	nl_begin(&q, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN, 0, sizeof(struct nfgenmsg));
	if (r == 0)
		r = nl_call(nl, &q.nlh, NULL, NULL);
	nl_close(nl);
	return r;
}

static void ask_kernel(const struct tree *tree, struct doctor_facts *facts)
{
	g_autofree char *modules = NULL;
	struct utsname system;

	facts->wireguard = facts->nft = -ENODATA;
	if (uname(&system) < 0)
		return;
	modules = g_build_filename("/lib/modules", system.release, "modules.dep", NULL);
	if (tree_exists(tree, modules))
		return;
	facts->wireguard = probe_wireguard();
	facts->nft = probe_nft();
}

static void gather(const struct options *o, const struct tree *tree, struct doctor_facts *facts)
{
	struct timex clock = { 0 };

	*facts = (struct doctor_facts){ .iface = DEFAULT_NAME, .listen_port = DEFAULT_PORT };
	facts->now_s = g_get_real_time() / G_USEC_PER_SEC;
	facts->clock = adjtimex(&clock) < 0 ? DOCTOR_CLOCK_UNKNOWN
		: clock.status & STA_UNSYNC ? DOCTOR_CLOCK_FREE
					    : DOCTOR_CLOCK_SYNCED;
	ask_kernel(tree, facts);
	read_files(o, facts);
	ask_daemon(o, facts);
}

/* -- output ----------------------------------------------------------------------------------- */

static void print_text(const GArray *findings)
{
	for (guint i = 0; i < findings->len; i++) {
		const struct doctor_finding *f = &g_array_index(findings, struct doctor_finding, i);
		g_autofree char *message = text_safe(f->message);
		g_autofree char *fix = f->fix ? text_safe(f->fix) : NULL;

		printf("%-8s %-14s %s\n", doctor_result_name(f->result), f->check, message);
		if (fix)
			printf("%-8s %-14s fix: %s\n", "", "", fix);
	}
}

static GString *document_of(const GArray *findings)
{
	GString *out = document_new("lapwing.doctor/1", doctor_result_name(doctor_worst(findings)));

	jwrite_open(out, "findings", '[');
	for (guint i = 0; i < findings->len; i++) {
		const struct doctor_finding *f = &g_array_index(findings, struct doctor_finding, i);

		jwrite_open(out, NULL, '{');
		jwrite_string(out, "check", f->check);
		jwrite_string(out, "result", doctor_result_name(f->result));
		jwrite_string(out, "message", f->message);
		jwrite_string(out, "fix", f->fix);
		jwrite_close(out, '}');
	}
	jwrite_close(out, ']');
	return out;
}

/* NULL: why not is in *ret. */
static GArray *examine(const struct options *o, int *ret)
{
	struct doctor_facts facts;
	struct tree *tree;
	GArray *findings;

	*ret = tree_open("/", &tree);
	if (*ret < 0)
		return NULL;
	gather(o, tree, &facts);
	findings = doctor_examine(tree, &facts);
	tree_close(tree);
	return findings;
}

GString *doctor_document(const struct options *o)
{
	int r;
	g_autoptr(GArray) findings = examine(o, &r);

	return findings ? document_of(findings) : NULL;
}

enum exit_code cmd_doctor(const struct options *o)
{
	int r;
	g_autoptr(GArray) findings = examine(o, &r);

	if (!findings)
		return fail(o, EXIT_FAILED, NULL, "cannot look at /: %s", g_strerror(-r));
	if (o->json)
		document_print(document_of(findings));
	else
		print_text(findings);
	return doctor_worst(findings) == DOCTOR_PROBLEM ? EXIT_FAILED : EXIT_OK;
}
