/* agent/cli/tune_session.c - a host opened for one subcommand of lapwing tune. */
#include "agent/cli/tune_session.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "agent/cli/tune_peers.h"
#include "agent/tune/setting.h"

#define NET_DIR "/sys/class/net"

enum exit_code tune_failure(struct failure *f, int r, bool named, const char *error)
{
	switch (-r) {
	case EPERM:
	case EACCES:
		return failure_set(f, EXIT_PERMISSION, "be root", "%s", error);
	case ENODEV:
		return failure_set(f, named ? EXIT_USAGE : EXIT_NOT_APPLICABLE,
			named ? NULL : "--underlay DEV names the device that carries the tunnels",
			"%s", error);
	case EROFS:
		return failure_set(
			f, EXIT_NOT_APPLICABLE, "in a container, run it on the host", "%s", error);
	case EOPNOTSUPP:
		return failure_set(f, EXIT_NOT_APPLICABLE, NULL, "%s", error);
	case EBADMSG:
		return failure_set(f, EXIT_REFUSED,
			"put that file right, or away: then the originals are lost", "%s", error);
	default:
		return failure_set(f, EXIT_FAILED, NULL, "%s", error);
	}
}

enum exit_code tune_session_fail(struct tune_session *s, int r, const char *error)
{
	return tune_failure(&s->failure, r, s->o->underlay || s->o->iface, error);
}

enum exit_code tune_session_need_root(struct tune_session *s)
{
	if (!tree_is_real(s->tuner.tree) || geteuid() == 0)
		return EXIT_OK;
	return failure_set(&s->failure, EXIT_PERMISSION, "sudo lapwing tune ...",
		"only root may change or check settings");
}

/* Not everything in that folder is one: "bonding_masters" is not. */
static bool is_device(const struct tree *tree, const char *name)
{
	g_autofree char *path = g_build_filename(NET_DIR, name, "mtu", NULL);

	return tree_exists(tree, path);
}

/* The nearest to `name` that there is. NULL: there is none. */
static char *nearest_device(const struct tree *tree, const char *name)
{
	g_autoptr(GPtrArray) names = NULL, devices = g_ptr_array_new();

	if (tree_list(tree, NET_DIR, &names) < 0)
		return NULL;
	for (guint i = 0; i < names->len; i++)
		if (is_device(tree, names->pdata[i]))
			g_ptr_array_add(devices, names->pdata[i]);
	g_ptr_array_add(devices, NULL);
	return g_strdup(nearest_name(name, (const char *const *)devices->pdata));
}

static enum exit_code check_device(struct tune_session *s, const char *option, const char *name)
{
	g_autofree char *nearest = NULL;

	if (!name || is_device(s->tuner.tree, name))
		return EXIT_OK;
	nearest = nearest_device(s->tuner.tree, name);
	return failure_set(&s->failure, EXIT_USAGE, NULL, "--%s: there is no device '%s'%s%s",
		option, name, nearest ? "; the nearest is " : "", nearest ? nearest : "");
}

/* Whose MTU a daemon sets: not behind its back. */
static void find_owned(struct tune_session *s)
{
	const char *name;
	json_t *status, *interface;

	if (!tree_is_real(s->tuner.tree))
		return;
	status = tune_ask_daemon(&s->o->common, "status");
	interface = json_object_get(status, "interface");
	name = get_text(interface, "name");
	if (*name && is_device(s->tuner.tree, name)) {
		g_strlcpy(s->owned, name, sizeof(s->owned));
		s->measured = json_is_integer(json_object_get(interface, "measured_mtu"));
	}
	json_decref(status);
}

enum exit_code tune_session_open(const struct tune_options *o, struct tune_session *ret)
{
	enum exit_code code;
	int r;

	ret->o = o;
	r = tuner_open(o->root, &ret->tuner);
	if (r < 0)
		return failure_set(&ret->failure,
			r == -ENOENT || r == -ENOTDIR ? EXIT_USAGE : EXIT_FAILED, NULL, "%s: %s",
			o->root, g_strerror(-r));
	ret->tuner.check = o->check;
	code = check_device(ret, "underlay", o->underlay);
	if (!code)
		code = check_device(ret, "device", o->device);
	if (!code)
		find_owned(ret);
	return code;
}

static void forget_plan(struct tune_session *s)
{
	g_clear_pointer(&s->plan, plan_free);
	g_clear_pointer(&s->host, host_free);
}

void tune_session_close(struct tune_session *s)
{
	forget_plan(s);
	if (s->tuner.tree)
		tuner_close(&s->tuner);
}

void tune_session_wish(
	const struct tune_session *s, struct plan_options *ret_plan, struct host_wish *ret_wish)
{
	const struct tune_options *o = s->o;

	*ret_wish = (struct host_wish){
		.underlay = o->underlay,
		.iface = !o->iface && s->owned[0] ? s->owned : o->iface,
	};
	*ret_plan = (struct plan_options){
		.only = o->only,
		.skip = o->skip,
		.device = o->device,
		.irqbalance = o->irqbalance,
		.force = o->force,
	};
}

/* As apply will treat it. */
static void leave_mtu(const struct tune_session *s)
{
	for (guint i = 0; i < s->plan->items->len; i++) {
		struct item *item = g_ptr_array_index(s->plan->items, i);

		if (item->knob != KNOB_MTU || g_strcmp0(item->device, s->owned))
			continue;
		if (item->state == ITEM_DIFFERS)
			item->state = ITEM_UNSUPPORTED;
		g_free(item->reason);
		item->reason = g_strdup(TUNE_MTU_OWNED);
	}
}

/* Who only looks is told of one that cannot be read; who changes something is refused. */
static void heed_journal(struct tune_session *s)
{
	struct journal *journal = NULL;
	char error[256];

	if (journal_open(&s->tuner, s->host, &journal, error) == 0)
		journal_heed(journal, s->host, s->plan);
	else
		g_ptr_array_add(s->plan->warnings,
			g_strdup_printf(
				"%s: so what was measured or refused before is not known", error));
	journal_free(journal);
}

enum exit_code tune_session_plan(struct tune_session *s)
{
	char error[HOST_TEXT_MAX];
	struct plan_options options;
	struct host_wish wish;
	int r;

	tune_session_wish(s, &options, &wish);
	forget_plan(s);
	r = host_scan(s->tuner.tree, s->tuner.nics, &wish, &s->host, error);
	if (r < 0)
		return tune_session_fail(s, r, error);
	s->plan = plan_make(s->host, &options);
	heed_journal(s);
	leave_mtu(s);
	return EXIT_OK;
}
