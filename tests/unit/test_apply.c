/* tests/unit/test_apply.c - made-up hosts are tuned, checked, and put back. */
#include <errno.h>
#include <glib.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/tune/apply.h"
#include "agent/tune/set_mtu.h"
#include "agent/tune/setting.h"
#include "tests/unit/fake_host.h"

#define JOURNAL "var/lib/lapwing-tune/originals.json"
#define BOOT_ID "proc/sys/kernel/random/boot_id"
#define RMEM "proc/sys/net/core/rmem_max"
#define MTU "sys/class/net/wt0/mtu"
#define RPS "sys/class/net/wt0/queues/rx-0/rps_cpus"

static const struct fake_host virtio = {
	.cpus = 4,
	.nics = { { FAKE_VIRTIO, .queues = 4 } },
	.wireguard = FAKE_WG_KERNEL,
	.peers = 2,
	.peers_up = 2,
};

struct fixture {
	char *root;
	struct tuner t;
	struct apply_options options;
	struct outcomes outcomes;
	char error[256];
};

/* -- a host ----------------------------------------------------------------------------------- */

static void leave(struct fixture *f)
{
	if (!f->root)
		return;
	outcomes_clear(&f->outcomes);
	tuner_close(&f->t);
	fake_host_remove(g_steal_pointer(&f->root));
}

static void enter(struct fixture *f, const struct fake_host *want)
{
	leave(f);
	f->root = fake_host_make(want);
	g_assert_cmpint(tuner_open(f->root, &f->t), ==, 0);
}

static void set_up(struct fixture *f, const void *data)
{
	f->options.plan.only = KNOB_ALL;
	enter(f, &virtio);
}

static void tear_down(struct fixture *f, const void *data)
{
	leave(f);
}

static int apply(struct fixture *f)
{
	outcomes_clear(&f->outcomes);
	return tune_apply(&f->t, &f->options, &f->outcomes, f->error);
}

static int revert(struct fixture *f, bool force)
{
	outcomes_clear(&f->outcomes);
	return tune_revert(&f->t, KNOB_ALL, force, &f->outcomes, f->error);
}

static int verify(struct fixture *f)
{
	outcomes_clear(&f->outcomes);
	return tune_verify(&f->t, &f->outcomes, f->error);
}

static unsigned count(const struct fixture *f, enum outcome_result result)
{
	unsigned n = 0;

	for (unsigned i = 0; i < f->outcomes.list->len; i++)
		n += ((const struct outcome *)f->outcomes.list->pdata[i])->result == result;
	return n;
}

/* The first with this result. */
static const struct outcome *find(const struct fixture *f, enum outcome_result result)
{
	for (unsigned i = 0; i < f->outcomes.list->len; i++) {
		const struct outcome *o = f->outcomes.list->pdata[i];

		if (o->result == result)
			return o;
	}
	return NULL;
}

static void assert_value(const struct fixture *f, const char *path, const char *value)
{
	g_autofree char *text = fake_host_get(f->root, path);

	g_assert_cmpstr(text, ==, value);
}

static bool has_journal(const struct fixture *f)
{
	g_autofree char *path = g_build_filename(f->root, JOURNAL, NULL);

	return access(path, F_OK) == 0;
}

static void write_over(GString *out, const char *root, const char *name)
{
	g_autofree char *path = g_build_filename(root, name, NULL), *text = NULL;
	g_autoptr(GPtrArray) names = NULL;
	struct tree *tree;
	struct stat st;

	g_assert_cmpint(lstat(path, &st), ==, 0);
	if (S_ISREG(st.st_mode) && g_file_get_contents(path, &text, NULL, NULL))
		g_string_append_printf(
			out, "%s: %s\n", name, g_strchomp(g_strdelimit(text, "\t", ' ')));
	if (!S_ISDIR(st.st_mode) || g_str_has_prefix(name, "/var"))
		return;
	g_assert_cmpint(tree_open(root, &tree), ==, 0);
	g_assert_cmpint(tree_list(tree, name, &names), ==, 0);
	tree_close(tree);
	for (unsigned i = 0; i < names->len; i++) {
		g_autofree char *below = g_build_filename("/", name, names->pdata[i], NULL);

		write_over(out, root, below);
	}
}

/* All files of the host and what is in them, but ours. */
static char *snapshot(const struct fixture *f)
{
	GString *out = g_string_new(NULL);

	write_over(out, f->root, "/");
	return g_string_free(out, FALSE);
}

static void assert_same(const struct fixture *f, const char *before)
{
	g_autofree char *now = snapshot(f);
	g_auto(GStrv) old_lines = g_strsplit(before, "\n", -1), lines = g_strsplit(now, "\n", -1);

	for (unsigned i = 0; old_lines[i] && lines[i]; i++)
		g_assert_cmpstr(lines[i], ==, old_lines[i]);
	g_assert_cmpuint(g_strv_length(lines), ==, g_strv_length(old_lines));
}

/* -- apply ------------------------------------------------------------------------------------ */

static void test_twice(struct fixture *f, const void *data)
{
	unsigned writes;

	g_assert_cmpint(apply(f), ==, 0);
	g_assert_cmpuint(f->outcomes.changed, >, 10);
	g_assert_cmpuint(f->outcomes.failed, ==, 0);
	assert_value(f, RPS, "f");
	writes = tree_writes(f->t.tree) + nics_writes(f->t.nics);
	g_assert_cmpuint(writes, ==, f->outcomes.changed);
	fake_host_settle(f->root);
	g_assert_cmpint(apply(f), ==, 0);
	g_assert_cmpuint(f->outcomes.changed, ==, 0);
	g_assert_cmpuint(f->outcomes.failed, ==, 0);
	g_assert_cmpuint(count(f, OUTCOME_ALREADY), >, 10);
	g_assert_cmpuint(tree_writes(f->t.tree) + nics_writes(f->t.nics), ==, writes);
	g_assert_cmpuint(fake_host_written(f->root), ==, 0);
}

/* Not even a folder for the journal. */
static void test_nothing(struct fixture *f, const void *data)
{
	f->options.plan.only = UINT32_C(1) << KNOB_RMEM;
	fake_host_put(f->root, RMEM, "999999999");
	fake_host_settle(f->root);
	g_assert_cmpint(apply(f), ==, 0);
	g_assert_cmpint(revert(f, false), ==, 0);
	g_assert_cmpuint(fake_host_written(f->root), ==, 0);
}

/* With `check` nothing is changed, and what is told is what is then done. */
static void assert_foreseen(struct fixture *f, int (*act)(struct fixture *f))
{
	g_autofree char *before = snapshot(f);
	struct outcomes foreseen;
	const struct outcome *o, *p;

	f->t.check = true;
	fake_host_settle(f->root);
	g_assert_cmpint(act(f), ==, 0);
	g_assert_cmpuint(fake_host_written(f->root), ==, 0);
	assert_same(f, before);
	f->t.check = false;
	foreseen = f->outcomes;
	f->outcomes = (struct outcomes){ 0 };
	g_assert_cmpint(act(f), ==, 0);
	g_assert_cmpuint(f->outcomes.changed, >, 10);
	g_assert_cmpuint(foreseen.changed, ==, f->outcomes.changed);
	g_assert_cmpuint(foreseen.list->len, ==, f->outcomes.list->len);
	for (unsigned i = 0; i < foreseen.list->len; i++) {
		o = foreseen.list->pdata[i];
		p = f->outcomes.list->pdata[i];
		g_assert_cmpstr(o->object, ==, p->object);
		g_assert_cmpint(o->result, ==, p->result);
		g_assert_cmpstr(o->before, ==, p->before);
		g_assert_cmpstr(o->after, ==, p->after);
	}
	outcomes_clear(&foreseen);
}

static int revert_all(struct fixture *f)
{
	return revert(f, false);
}

static void test_check(struct fixture *f, const void *data)
{
	assert_foreseen(f, apply);
	assert_foreseen(f, revert_all);
}

static void test_refused(struct fixture *f, const void *data)
{
	const struct outcome *o;

	fake_host_refuse(f->root, RMEM, EINVAL);
	g_assert_cmpint(apply(f), ==, 0);
	g_assert_cmpuint(f->outcomes.failed, ==, 1);
	g_assert_cmpuint(f->outcomes.changed, >, 10);
	o = find(f, OUTCOME_FAILED);
	g_assert_cmpstr(o->object, ==, "net.core.rmem_max");
	g_assert_cmpint(o->error, ==, -EINVAL);
	/* It was never written, so it cannot have drifted. */
	g_assert_cmpint(verify(f), ==, 0);
	g_assert_cmpuint(f->outcomes.drifted, ==, 0);
	for (unsigned i = 0; i < f->outcomes.list->len; i++)
		g_assert_cmpint(
			((struct outcome *)f->outcomes.list->pdata[i])->knob, !=, KNOB_RMEM);
}

/* How many changes a plan has that heeds the journal, and why not that of the first interrupt. */
static unsigned pending(struct fixture *f, char **ret_reason)
{
	struct journal *journal;
	struct host *host;
	struct plan *plan;
	unsigned n;

	g_assert_cmpint(host_scan(f->t.tree, f->t.nics, &f->options.wish, &host, f->error), ==, 0);
	g_assert_cmpint(journal_open(&f->t, host, &journal, f->error), ==, 0);
	plan = plan_make(host, &f->options.plan);
	journal_heed(journal, host, plan);
	n = plan_pending(plan, true);
	for (unsigned i = 0; ret_reason && !*ret_reason && i < plan->items->len; i++) {
		const struct item *item = plan->items->pdata[i];

		if (item->knob == KNOB_IRQ && item->state == ITEM_UNSUPPORTED)
			*ret_reason = g_strdup(item->reason);
	}
	plan_free(plan);
	journal_free(journal);
	host_free(host);
	return n;
}

static void test_managed(struct fixture *f, const void *data)
{
	g_autofree char *interrupts = fake_host_get(f->root, "proc/interrupts"), *reason = NULL;
	unsigned writes;

	g_assert_nonnull(strstr(interrupts, "  25:"));
	fake_host_refuse(f->root, "proc/irq/25/smp_affinity", EIO);
	g_assert_cmpint(apply(f), ==, 0);
	g_assert_cmpuint(f->outcomes.failed, ==, 0);
	g_assert_cmpuint(f->outcomes.skipped, ==, 1);
	g_assert_cmpstr(find(f, OUTCOME_SKIPPED)->reason, ==, "managed by the kernel");
	/* It is not tried again, */
	fake_host_settle(f->root);
	writes = tree_writes(f->t.tree);
	g_assert_cmpint(apply(f), ==, 0);
	g_assert_cmpuint(f->outcomes.skipped, ==, 0);
	g_assert_cmpuint(fake_host_written(f->root), ==, 0);
	g_assert_cmpuint(tree_writes(f->t.tree), ==, writes);
	g_assert_cmpuint(pending(f, &reason), ==, 0);
	g_assert_cmpstr(reason, ==, "managed by the kernel");
	/* nor can it drift; */
	fake_host_put(f->root, "proc/irq/25/smp_affinity", "8");
	g_assert_cmpint(verify(f), ==, 0);
	g_assert_cmpuint(f->outcomes.drifted, ==, 0);
	g_assert_cmpuint(count(f, OUTCOME_ALREADY), ==, f->outcomes.list->len);
	fake_host_put(f->root, "proc/irq/25/smp_affinity", "f");
	/* but after a restart it is, once. */
	fake_host_put(f->root, BOOT_ID, "another\n");
	g_assert_cmpuint(pending(f, NULL), ==, 1);
	g_assert_cmpint(apply(f), ==, 0);
	g_assert_cmpuint(f->outcomes.skipped, ==, 1);
	fake_host_settle(f->root);
	g_assert_cmpint(apply(f), ==, 0);
	g_assert_cmpuint(f->outcomes.skipped, ==, 0);
	g_assert_cmpuint(fake_host_written(f->root), ==, 0);
	/* Nothing is to be put back. */
	g_assert_cmpint(revert(f, true), ==, 0);
	g_assert_cmpuint(f->outcomes.failed, ==, 0);
	g_assert_false(has_journal(f));
}

/* One that was ours, and is the kernel's later, keeps its original. */
static void test_managed_later(struct fixture *f, const void *data)
{
	g_autofree char *before = snapshot(f);

	g_assert_cmpint(apply(f), ==, 0);
	fake_host_put(f->root, "proc/irq/26/smp_affinity", "8");
	fake_host_refuse(f->root, "proc/irq/26/smp_affinity", EIO);
	g_assert_cmpint(apply(f), ==, 0);
	g_assert_cmpuint(f->outcomes.skipped, ==, 1);
	g_assert_cmpuint(pending(f, NULL), ==, 0);
	g_assert_cmpint(verify(f), ==, 0);
	g_assert_cmpuint(f->outcomes.drifted, ==, 1);
	fake_host_drop(f->root, "proc/irq/26/smp_affinity.refuse");
	g_assert_cmpint(revert(f, true), ==, 0);
	assert_same(f, before);
}

static void test_disruptive(struct fixture *f, const void *data)
{
	fake_host_put(f->root, "ethtool/eth0/rings", "rx 64 tx 64");
	g_assert_cmpint(apply(f), ==, 0);
	g_assert_cmpuint(f->outcomes.skipped, ==, 1);
	g_assert_cmpint(find(f, OUTCOME_SKIPPED)->knob, ==, KNOB_RINGS);
	g_assert_nonnull(strstr(find(f, OUTCOME_SKIPPED)->reason, "--allow-disruptive"));
	g_assert_cmpstr(find(f, OUTCOME_SKIPPED)->before, ==, "rx 64 tx 64");
	g_assert_cmpstr(find(f, OUTCOME_SKIPPED)->after, ==, "rx 256 tx 256");
	assert_value(f, "ethtool/eth0/rings", "rx 64 tx 64");
	f->options.disruptive = true;
	g_assert_cmpint(apply(f), ==, 0);
	g_assert_cmpuint(f->outcomes.changed, ==, 1);
	assert_value(f, "ethtool/eth0/rings", "rx 256 tx 256");
}

static void test_rollback(struct fixture *f, const void *data)
{
	g_autofree char *before = NULL;

	fake_host_refuse(f->root, "proc/sys/net/ipv4/tcp_congestion_control", EPERM);
	before = snapshot(f);
	f->options.rollback_on_error = true;
	g_assert_cmpint(apply(f), ==, 0);
	g_assert_cmpuint(f->outcomes.failed, ==, 1);
	g_assert_cmpuint(f->outcomes.changed, ==, 0);
	g_assert_cmpuint(f->outcomes.skipped, >, 10);
	g_assert_cmpuint(tree_writes(f->t.tree), >, 10);
	assert_same(f, before);
	g_assert_false(has_journal(f));
}

/* What an earlier run has written is still known after a later one was rolled back. */
static void test_rollback_later(struct fixture *f, const void *data)
{
	g_autofree char *before = snapshot(f), *between = NULL;

	f->options.plan.only = UINT32_C(1) << KNOB_RPS;
	g_assert_cmpint(apply(f), ==, 0);
	fake_host_put(f->root, RPS, "1");
	fake_host_refuse(f->root, "proc/sys/net/ipv4/tcp_congestion_control", EPERM);
	between = snapshot(f);
	f->options.plan.only = KNOB_ALL;
	f->options.rollback_on_error = true;
	g_assert_cmpint(apply(f), ==, 0);
	g_assert_cmpuint(f->outcomes.failed, ==, 1);
	assert_same(f, between);
	fake_host_put(f->root, RPS, "f");
	fake_host_drop(f->root, "proc/sys/net/ipv4/tcp_congestion_control.refuse");
	g_assert_cmpint(revert(f, false), ==, 0);
	g_assert_cmpuint(f->outcomes.drifted, ==, 0);
	assert_same(f, before);
}

/* One run of apply is taken back: what was there before it comes back, and no original is lost. */
static void test_undo(struct fixture *f, const void *data)
{
	g_autofree char *before = NULL, *journal = NULL, *now = NULL;
	struct journal *earlier;

	f->options.plan.only = UINT32_C(1) << KNOB_RMEM;
	fake_host_put(f->root, RMEM, "212992");
	g_assert_cmpint(apply(f), ==, 0);
	fake_host_put(f->root, RMEM, "300000");
	fake_host_put(f->root, RPS, "2");
	before = snapshot(f);
	journal = fake_host_get(f->root, JOURNAL);
	g_assert_cmpint(journal_load(f->root, &earlier, f->error), ==, 0);
	f->options.plan.only |= UINT32_C(1) << KNOB_RPS;
	g_assert_cmpint(apply(f), ==, 0);
	assert_value(f, RMEM, "16777216");
	assert_value(f, RPS, "f");
	g_assert_cmpint(tune_undo(&f->t, earlier, &f->outcomes, f->error), ==, 0);
	journal_free(earlier);
	assert_same(f, before);
	now = fake_host_get(f->root, JOURNAL);
	g_assert_cmpstr(now, ==, journal);
	g_assert_cmpint(revert(f, true), ==, 0);
	assert_value(f, RMEM, "212992");
	assert_value(f, RPS, "2");
}

/* Somebody else's change meanwhile is left. */
static void test_undo_drift(struct fixture *f, const void *data)
{
	struct journal *earlier;

	f->options.plan.only = UINT32_C(1) << KNOB_RMEM;
	g_assert_cmpint(journal_load(f->root, &earlier, f->error), ==, 0);
	g_assert_cmpint(apply(f), ==, 0);
	fake_host_put(f->root, RMEM, "300000");
	g_assert_cmpint(tune_undo(&f->t, earlier, &f->outcomes, f->error), ==, 0);
	journal_free(earlier);
	assert_value(f, RMEM, "300000");
	g_assert_true(has_journal(f));
}

static void test_damaged(struct fixture *f, const void *data)
{
	fake_host_put(f->root, JOURNAL, "{\"schema\":");
	fake_host_settle(f->root);
	g_assert_cmpint(apply(f), ==, -EBADMSG);
	g_assert_nonnull(strstr(f->error, JOURNAL ": line 2: "));
	g_assert_cmpint(revert(f, true), ==, -EBADMSG);
	g_assert_cmpint(verify(f), ==, -EBADMSG);
	g_assert_cmpuint(fake_host_written(f->root), ==, 0);
}

static void test_no_device(struct fixture *f, const void *data)
{
	f->options.wish.underlay = "eth7";
	fake_host_settle(f->root);
	g_assert_cmpint(apply(f), ==, -ENODEV);
	g_assert_nonnull(strstr(f->error, "eth7"));
	g_assert_cmpuint(fake_host_written(f->root), ==, 0);
}

/* -- devices that do as they like ------------------------------------------------------------- */

static const struct nics_ops *real_ops;
static const char *hook_root;
static void (*on_write)(enum nic_attr attr);

static int hook_read(void *user, const char *device, enum nic_attr attr, char *ret, size_t size)
{
	return real_ops->read(user, device, attr, ret, size);
}

static int hook_write(void *user, const char *device, enum nic_attr attr, const char *value)
{
	int r = real_ops->write(user, device, attr, value);

	on_write(attr);
	return r;
}

static int hook_statistics(
	void *user, const char *device, struct nic_statistic **ret, size_t *ret_n)
{
	return real_ops->statistics(user, device, ret, ret_n);
}

static void hook_close(void *user)
{
	real_ops->close(user);
}

static void hook(struct fixture *f, void (*fn)(enum nic_attr attr))
{
	static const struct nics_ops ops = { hook_read, hook_write, hook_statistics, hook_close };

	real_ops = f->t.nics->ops;
	f->t.nics->ops = &ops;
	hook_root = f->root;
	on_write = fn;
}

static void round_rings(enum nic_attr attr)
{
	if (attr == NIC_RINGS)
		fake_host_put(hook_root, "ethtool/eth0/rings", "rx 240 tx 240");
}

/* A device that takes another value than it is asked for is not asked again and again. */
static void test_rounded(struct fixture *f, const void *data)
{
	g_autofree char *before = NULL;

	fake_host_put(f->root, "ethtool/eth0/rings", "rx 64 tx 64");
	before = snapshot(f);
	hook(f, round_rings);
	f->options.disruptive = true;
	g_assert_cmpint(apply(f), ==, 0);
	g_assert_cmpuint(f->outcomes.failed, ==, 0);
	fake_host_settle(f->root);
	g_assert_cmpint(apply(f), ==, 0);
	g_assert_cmpuint(f->outcomes.changed, ==, 0);
	g_assert_cmpuint(fake_host_written(f->root), ==, 0);
	g_assert_cmpint(verify(f), ==, 0);
	g_assert_cmpuint(f->outcomes.drifted, ==, 0);
	on_write = NULL;
	f->t.nics->ops = real_ops;
	g_assert_cmpint(revert(f, false), ==, 0);
	assert_same(f, before);
}

static void keep_rings(enum nic_attr attr)
{
	if (attr == NIC_RINGS)
		fake_host_put(hook_root, "ethtool/eth0/rings", "rx 64 tx 64");
}

static void test_not_taken(struct fixture *f, const void *data)
{
	fake_host_put(f->root, "ethtool/eth0/rings", "rx 64 tx 64");
	hook(f, keep_rings);
	f->options.disruptive = true;
	g_assert_cmpint(apply(f), ==, 0);
	g_assert_cmpuint(f->outcomes.failed, ==, 1);
	g_assert_cmpint(find(f, OUTCOME_FAILED)->knob, ==, KNOB_RINGS);
}

#define QUEUE "sys/class/net/eth0/queues/"

/* As virtio: queues come and go, and interrupts get their default again. */
static void set_queues(enum nic_attr attr)
{
	g_autofree char *channels = fake_host_get(hook_root, "ethtool/eth0/channels");
	bool many = channels && g_str_has_suffix(channels, "4");

	if (attr != NIC_CHANNELS)
		return;
	for (int i = 2; i < 4; i++) {
		g_autofree char *rx = g_strdup_printf(QUEUE "rx-%d", i);
		g_autofree char *tx = g_strdup_printf(QUEUE "tx-%d", i);
		g_autofree char *cpus = g_strconcat(rx, "/rps_cpus", NULL);
		g_autofree char *flows = g_strconcat(rx, "/rps_flow_cnt", NULL);
		g_autofree char *xps = g_strconcat(tx, "/xps_cpus", NULL);

		if (many) {
			fake_host_put(hook_root, cpus, "0");
			fake_host_put(hook_root, flows, "0");
			fake_host_put(hook_root, xps, "0");
		} else {
			fake_host_drop(hook_root, rx);
			fake_host_drop(hook_root, tx);
		}
	}
	for (int i = 25; i < 29; i++) {
		g_autofree char *irq = g_strdup_printf("proc/irq/%d/smp_affinity", i);

		fake_host_put(hook_root, irq, "f");
	}
}

/* Half of the channels of a device that has interrupts for all of them, as virtio keeps them. */
static void halve(struct fixture *f)
{
	hook_root = f->root;
	fake_host_put(f->root, "ethtool/eth0/channels", "rx 0 tx 0 combined 2");
	set_queues(NIC_CHANNELS);
	fake_host_put(f->root, "proc/irq/25/smp_affinity", "c");
}

static void test_channels(struct fixture *f, const void *data)
{
	g_autofree char *before = NULL;

	halve(f);
	before = snapshot(f);
	hook(f, set_queues);
	f->options.disruptive = true;
	g_assert_cmpint(apply(f), ==, 0);
	g_assert_cmpuint(f->outcomes.failed, ==, 0);
	assert_value(f, "ethtool/eth0/channels", "rx 0 tx 0 combined 4");
	/* Settings of queues that were not there at first. */
	assert_value(f, QUEUE "tx-3/xps_cpus", "8");
	assert_value(f, "proc/irq/28/smp_affinity", "8");
	fake_host_settle(f->root);
	g_assert_cmpint(apply(f), ==, 0);
	g_assert_cmpuint(fake_host_written(f->root), ==, 0);
	/* Interrupts too are as they were, though the device forgets them with its channels. */
	g_assert_cmpint(revert(f, false), ==, 0);
	g_assert_cmpuint(f->outcomes.drifted + f->outcomes.failed, ==, 0);
	assert_same(f, before);
	g_assert_false(has_journal(f));
}

static void test_channels_rollback(struct fixture *f, const void *data)
{
	g_autofree char *before = NULL;

	halve(f);
	fake_host_refuse(f->root, "proc/sys/net/ipv4/tcp_congestion_control", EPERM);
	before = snapshot(f);
	hook(f, set_queues);
	f->options.disruptive = f->options.rollback_on_error = true;
	g_assert_cmpint(apply(f), ==, 0);
	g_assert_cmpuint(f->outcomes.failed, ==, 1);
	g_assert_cmpuint(f->outcomes.changed, ==, 0);
	assert_same(f, before);
	g_assert_false(has_journal(f));
}

/* As virtio_net does: the value that is wanted comes with the queues. */
static void set_queues_and_irq(enum nic_attr attr)
{
	set_queues(attr);
	if (attr == NIC_CHANNELS)
		fake_host_put(hook_root, "proc/irq/27/smp_affinity", "4");
}

static void test_channels_reset(struct fixture *f, const void *data)
{
	g_autofree char *before = NULL;

	halve(f);
	fake_host_put(f->root, "proc/irq/27/smp_affinity", "2");
	before = snapshot(f);
	hook(f, set_queues_and_irq);
	f->options.disruptive = true;
	g_assert_cmpint(apply(f), ==, 0);
	assert_value(f, "proc/irq/27/smp_affinity", "4");
	fake_host_settle(f->root);
	g_assert_cmpint(apply(f), ==, 0);
	g_assert_cmpuint(fake_host_written(f->root), ==, 0);
	g_assert_cmpint(verify(f), ==, 0);
	g_assert_cmpuint(f->outcomes.drifted, ==, 0);
	g_assert_cmpint(revert(f, false), ==, 0);
	g_assert_cmpuint(f->outcomes.drifted + f->outcomes.failed, ==, 0);
	assert_same(f, before);
	g_assert_false(has_journal(f));
}

static void test_undo_channels(struct fixture *f, const void *data)
{
	g_autofree char *before = NULL;
	struct journal *earlier;

	halve(f);
	before = snapshot(f);
	hook(f, set_queues);
	f->options.disruptive = true;
	g_assert_cmpint(journal_load(f->root, &earlier, f->error), ==, 0);
	g_assert_cmpint(apply(f), ==, 0);
	assert_value(f, "ethtool/eth0/channels", "rx 0 tx 0 combined 4");
	g_assert_cmpint(tune_undo(&f->t, earlier, &f->outcomes, f->error), ==, 0);
	journal_free(earlier);
	assert_same(f, before);
	g_assert_false(has_journal(f));
}

static void die(enum nic_attr attr)
{
	raise(SIGKILL);
}

/* Killed at the first write: all originals are saved by then. */
static void test_killed(struct fixture *f, const void *data)
{
	g_autofree char *before = NULL;
	int status;
	pid_t pid;

	fake_host_put(f->root, "ethtool/eth0/rings", "rx 64 tx 64");
	before = snapshot(f);
	hook(f, die);
	f->options.disruptive = true;
	pid = fork();
	if (pid == 0) {
		apply(f);
		_exit(0);
	}
	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	f->t.nics->ops = real_ops;
	assert_value(f, "ethtool/eth0/rings", "rx 256 tx 256");
	g_assert_cmpint(revert(f, false), ==, 0);
	g_assert_cmpuint(f->outcomes.changed, ==, 1);
	g_assert_cmpuint(count(f, OUTCOME_ALREADY), >, 10);
	g_assert_cmpuint(f->outcomes.drifted + f->outcomes.failed, ==, 0);
	assert_same(f, before);
	g_assert_false(has_journal(f));
}

/* -- revert and verify ------------------------------------------------------------------------ */

static void test_revert(struct fixture *f, const void *data)
{
	g_autofree char *before = NULL;
	unsigned changed;

	fake_host_put(f->root, "irqbalance", "socket 99");
	before = snapshot(f);
	g_assert_cmpint(apply(f), ==, 0);
	changed = f->outcomes.changed;
	assert_value(f, "irqbalance", "socket 25 26 27 28 99");
	g_assert_cmpint(verify(f), ==, 0);
	g_assert_cmpuint(count(f, OUTCOME_ALREADY), ==, changed);
	g_assert_cmpuint(f->outcomes.list->len, ==, changed);
	g_assert_cmpint(revert(f, false), ==, 0);
	g_assert_cmpuint(f->outcomes.changed, ==, changed);
	assert_same(f, before);
	g_assert_false(has_journal(f));
	g_assert_cmpint(verify(f), ==, 0);
	g_assert_cmpuint(f->outcomes.list->len, ==, 0);
}

static void test_stopped(struct fixture *f, const void *data)
{
	g_autofree char *before = NULL;

	fake_host_put(f->root, "irqbalance", "socket 99");
	before = snapshot(f);
	f->options.plan.irqbalance = IRQBALANCE_STOP;
	g_assert_cmpint(apply(f), ==, 0);
	assert_value(f, "irqbalance", "stopped socket 99");
	g_assert_cmpint(revert(f, false), ==, 0);
	assert_same(f, before);
}

static void test_some(struct fixture *f, const void *data)
{
	g_autofree char *rps = fake_host_get(f->root, RPS);

	g_assert_cmpint(apply(f), ==, 0);
	outcomes_clear(&f->outcomes);
	g_assert_cmpint(
		tune_revert(&f->t, UINT32_C(1) << KNOB_RPS, false, &f->outcomes, f->error), ==, 0);
	assert_value(f, RPS, rps);
	g_assert_true(has_journal(f));
	g_assert_cmpint(verify(f), ==, 0);
	g_assert_cmpuint(f->outcomes.list->len, >, 5);
	g_assert_cmpuint(f->outcomes.drifted, ==, 0);
}

static void test_drift(struct fixture *f, const void *data)
{
	g_autofree char *before = snapshot(f);
	const struct outcome *o;

	g_assert_cmpint(apply(f), ==, 0);
	fake_host_put(f->root, RMEM, "1234567");
	g_assert_cmpint(verify(f), ==, 0);
	g_assert_cmpuint(f->outcomes.drifted, ==, 1);
	o = find(f, OUTCOME_DRIFTED);
	g_assert_cmpint(o->knob, ==, KNOB_RMEM);
	g_assert_cmpstr(o->before, ==, "16777216");
	g_assert_cmpstr(o->after, ==, "1234567");
	g_assert_null(o->managed_by);
	fake_host_put(f->root, "etc/sysctl.d/50-db.conf", "net.core.rmem_max=1234567");
	g_assert_cmpint(verify(f), ==, 0);
	g_assert_cmpstr(find(f, OUTCOME_DRIFTED)->managed_by, ==, "/etc/sysctl.d/50-db.conf");

	g_assert_cmpint(revert(f, false), ==, 0);
	g_assert_cmpuint(f->outcomes.drifted, ==, 1);
	assert_value(f, RMEM, "1234567");
	g_assert_true(has_journal(f));
	g_assert_cmpint(revert(f, true), ==, 0);
	g_assert_cmpuint(f->outcomes.changed, ==, 1);
	g_assert_cmpuint(f->outcomes.drifted, ==, 0);
	g_assert_false(has_journal(f));
	fake_host_drop(f->root, "etc");
	assert_same(f, before);
}

static void test_revert_refused(struct fixture *f, const void *data)
{
	g_assert_cmpint(apply(f), ==, 0);
	fake_host_refuse(f->root, RMEM, EPERM);
	g_assert_cmpint(revert(f, false), ==, 0);
	g_assert_cmpuint(f->outcomes.failed, ==, 1);
	g_assert_cmpint(find(f, OUTCOME_FAILED)->error, ==, -EPERM);
	fake_host_drop(f->root, RMEM ".refuse");
	g_assert_cmpint(revert(f, false), ==, 0);
	g_assert_cmpuint(f->outcomes.changed, ==, 1);
	g_assert_cmpuint(f->outcomes.list->len, ==, 1);
	g_assert_false(has_journal(f));
}

/* -- after a restart -------------------------------------------------------------------------- */

/* Another host, with the journal of this one. */
static void move(struct fixture *f, const struct fake_host *want)
{
	g_autofree char *journal = fake_host_get(f->root, JOURNAL);

	enter(f, want);
	fake_host_put(f->root, JOURNAL, journal);
}

/* All but what survives has its default again. */
static void test_restart(struct fixture *f, const void *data)
{
	g_assert_cmpint(apply(f), ==, 0);
	move(f, &virtio);
	fake_host_put(f->root, BOOT_ID, "00000000-0000-4000-8000-000000000002");
	fake_host_put(f->root, RMEM, "16777216"); /* by sysctl.d */
	fake_host_put(f->root, RPS, "2"); /* by somebody, or by this kernel */
	g_assert_cmpint(verify(f), ==, 0);
	g_assert_cmpuint(f->outcomes.drifted, >, 10);
	g_assert_cmpstr(find(f, OUTCOME_DRIFTED)->reason, ==, "this host was restarted since");
	g_assert_cmpint(revert(f, false), ==, 0);
	g_assert_cmpuint(f->outcomes.changed, ==, 1);
	g_assert_cmpuint(count(f, OUTCOME_GONE), ==, 1);
	g_assert_cmpuint(f->outcomes.drifted + f->outcomes.failed, ==, 0);
	assert_value(f, RPS, "2");
	g_assert_false(has_journal(f));
}

/* Applied at each start, reverted after the last. */
static void test_restarts(struct fixture *f, const void *data)
{
	g_autofree char *before = NULL;

	g_assert_cmpint(apply(f), ==, 0);
	move(f, &virtio);
	fake_host_put(f->root, BOOT_ID, "00000000-0000-4000-8000-000000000002");
	before = snapshot(f);
	fake_host_put(f->root, RMEM, "16777216");
	g_assert_cmpint(apply(f), ==, 0);
	g_assert_cmpuint(f->outcomes.failed, ==, 0);
	g_assert_cmpint(revert(f, false), ==, 0);
	g_assert_cmpuint(f->outcomes.drifted + f->outcomes.failed, ==, 0);
	assert_same(f, before);
}

static struct fake_host renamed(const char *name)
{
	struct fake_host want = virtio;

	want.nics[0].name = name;
	return want;
}

/* The same device by another name. */
static void test_renamed(struct fixture *f, const void *data)
{
	struct fake_host want = renamed("ens4");
	g_autofree char *journal = NULL, *before = NULL;

	g_assert_cmpint(apply(f), ==, 0);
	journal = fake_host_get(f->root, JOURNAL);
	enter(f, &want);
	before = snapshot(f);
	g_assert_cmpint(apply(f), ==, 0);
	fake_host_put(f->root, JOURNAL, journal);
	g_assert_cmpint(verify(f), ==, 0);
	g_assert_cmpuint(count(f, OUTCOME_ALREADY), ==, f->outcomes.list->len);
	g_assert_cmpint(revert(f, false), ==, 0);
	g_assert_cmpuint(count(f, OUTCOME_CHANGED), ==, f->outcomes.list->len);
	assert_same(f, before);
}

/* Another device by the same name, in the same place. */
static void test_replaced(struct fixture *f, const void *data)
{
	g_autofree char *replaced = NULL;
	unsigned n = 0;

	g_assert_cmpint(apply(f), ==, 0);
	fake_host_put(f->root, "ethtool/eth0/address", "52:54:00:99:99:99");
	replaced = fake_host_get(f->root, "proc/irq/26/smp_affinity");
	g_assert_cmpint(revert(f, true), ==, 0);
	for (unsigned i = 0; i < f->outcomes.list->len; i++) {
		const struct outcome *o = f->outcomes.list->pdata[i];

		if (g_strcmp0(o->device, "eth0") != 0)
			continue;
		g_assert_cmpint(o->result, ==, OUTCOME_GONE);
		n++;
	}
	g_assert_cmpuint(n, >, 5);
	g_assert_cmpuint(f->outcomes.changed, >, 5);
	assert_value(f, "proc/irq/26/smp_affinity", replaced);
	g_assert_false(has_journal(f));
}

/* The new one gets originals of its own. */
static void test_replaced_again(struct fixture *f, const void *data)
{
	g_autofree char *before = NULL;

	g_assert_cmpint(apply(f), ==, 0);
	move(f, &virtio);
	fake_host_put(f->root, "ethtool/eth0/address", "52:54:00:99:99:99");
	fake_host_put(f->root, "proc/irq/26/smp_affinity", "c");
	before = snapshot(f);
	g_assert_cmpint(apply(f), ==, 0);
	g_assert_cmpuint(f->outcomes.failed, ==, 0);
	assert_value(f, "proc/irq/26/smp_affinity", "2");
	g_assert_cmpint(revert(f, false), ==, 0);
	assert_same(f, before);
	g_assert_false(has_journal(f));
}

/* The device, with two interrupts for each queue, has others, and is not even that of the default route. */
static void test_renumbered(struct fixture *f, const void *data)
{
	static const struct fake_host want = {
		.cpus = 4,
		.nics = { { FAKE_SINGLE, .name = "eth9" },
			{ FAKE_VIRTIO, .name = "eth0", .queues = 4, .split = true } },
		.wireguard = FAKE_WG_KERNEL,
		.peers = 2,
		.peers_up = 2,
	};
	g_autofree char *journal = NULL, *before = NULL;
	struct fake_host one = virtio;

	one.nics[0].split = true;
	enter(f, &one);
	fake_host_put(f->root, "ethtool/eth0/address", "52:54:00:12:34:56");
	g_assert_cmpint(apply(f), ==, 0);
	journal = fake_host_get(f->root, JOURNAL);
	enter(f, &want);
	fake_host_put(f->root, "ethtool/eth0/address", "52:54:00:12:34:56");
	before = snapshot(f);
	f->options.wish.underlay = "eth0";
	g_assert_cmpint(apply(f), ==, 0);
	assert_value(f, "proc/irq/29/smp_affinity", "8");
	assert_value(f, "proc/irq/33/smp_affinity", "8");
	fake_host_put(f->root, JOURNAL, journal);
	g_assert_cmpint(revert(f, false), ==, 0);
	g_assert_cmpuint(count(f, OUTCOME_CHANGED), ==, f->outcomes.list->len);
	assert_value(f, "proc/irq/29/smp_affinity", "f");
	assert_same(f, before);
}

/* A device that has come back has no route yet. */
static void test_back(struct fixture *f, const void *data)
{
	g_assert_cmpint(apply(f), ==, 0);
	move(f, &virtio);
	fake_host_put(f->root, "proc/net/route", "Iface\tDestination\tGateway \tFlags");
	f->options.plan.device = "eth0";
	g_assert_cmpint(apply(f), ==, 0);
	assert_value(f, "proc/irq/28/smp_affinity", "8");
	assert_value(f, RPS, "0");
	enter(f, &virtio);
	fake_host_put(f->root, "proc/net/route", "Iface\tDestination\tGateway \tFlags");
	g_assert_cmpint(apply(f), ==, 0);
	g_assert_cmpuint(f->outcomes.changed, ==, 0);
}

/* What was measured is less than what the devices would carry; a plan does not know why. */
static void test_measured_mtu(struct fixture *f, const void *data)
{
	bool changed = false;

	fake_host_put(f->root, MTU, "1280");
	f->options.plan.only = UINT32_C(1) << KNOB_MTU;
	g_assert_cmpint(apply(f), ==, 0);
	g_assert_cmpuint(f->outcomes.changed, ==, 1);
	assert_value(f, MTU, "1420");
	g_assert_cmpint(tune_set_mtu(f->root, "wt0", "1340", &changed, f->error), ==, 0);
	g_assert_true(changed);
	assert_value(f, MTU, "1340");
	g_assert_cmpint(tune_set_mtu(f->root, "wt0", "1340", &changed, f->error), ==, 0);
	g_assert_false(changed);
	g_assert_cmpint(apply(f), ==, 0);
	g_assert_cmpuint(f->outcomes.changed, ==, 0);
	assert_value(f, MTU, "1340");
	g_assert_cmpint(verify(f), ==, 0);
	g_assert_cmpuint(f->outcomes.drifted, ==, 0);
	/* Somebody else's is none that was measured. */
	fake_host_put(f->root, MTU, "1300");
	g_assert_cmpint(apply(f), ==, 0);
	assert_value(f, MTU, "1420");
	g_assert_cmpint(revert(f, false), ==, 0);
	assert_value(f, MTU, "1280");
	g_assert_false(has_journal(f));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add("/apply/" #name, struct fixture, NULL, set_up, test_##name, tear_down)
	ADD(twice);
	ADD(nothing);
	ADD(check);
	ADD(refused);
	ADD(managed);
	ADD(managed_later);
	ADD(disruptive);
	ADD(rollback);
	ADD(rollback_later);
	ADD(undo);
	ADD(undo_drift);
	ADD(undo_channels);
	ADD(damaged);
	ADD(no_device);
	ADD(rounded);
	ADD(not_taken);
	ADD(channels);
	ADD(channels_reset);
	ADD(channels_rollback);
	ADD(killed);
	ADD(revert);
	ADD(stopped);
	ADD(some);
	ADD(drift);
	ADD(revert_refused);
	ADD(restart);
	ADD(restarts);
	ADD(renamed);
	ADD(replaced);
	ADD(replaced_again);
	ADD(renumbered);
	ADD(back);
	ADD(measured_mtu);
	return g_test_run();
}
