/* tests/unit/test_persist.c - what outlives a restart, and who else sets something. */
#include <errno.h>
#include <glib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/tune/apply.h"
#include "agent/tune/persist.h"
#include "tests/unit/fake_host.h"

#define SYSCTLS "etc/sysctl.d/90-lapwing.conf"
#define OPTIONS "var/lib/lapwing-tune/options.json"
#define WANTS "etc/systemd/system/multi-user.target.wants/lapwing-tune.service"
#define UNIT "usr/lib/systemd/system/lapwing-tune.service"

struct fixture {
	char *root;
	struct tuner t;
	struct host *host;
	struct plan *plan;
	char error[256];
	bool changed;
};

static const struct persist_options options = {
	.only = KNOB_ALL,
	.skip = UINT32_C(1) << KNOB_RPS | UINT32_C(1) << KNOB_MTU,
	.irqbalance = IRQBALANCE_STOP,
	.disruptive = true,
	.underlay = (char *)"eth0",
};

static void look(struct fixture *f)
{
	const struct plan_options plan_options = { .only = KNOB_ALL };
	const struct host_wish wish = { 0 };

	plan_free(f->plan);
	host_free(f->host);
	g_assert_cmpint(host_scan(f->t.tree, f->t.nics, &wish, &f->host, f->error), ==, 0);
	f->plan = plan_make(f->host, &plan_options);
}

/* A host that was tuned, with the operator's own value of one setting, and one that was refused. */
static void set_up(struct fixture *f, const void *data)
{
	static const struct fake_host want = {
		.nics = { { FAKE_VIRTIO } }, .wireguard = FAKE_WG_KERNEL, .peers = 2
	};
	const struct apply_options apply = { .plan = { .only = KNOB_ALL } };
	struct outcomes outcomes;

	f->root = fake_host_make(&want);
	fake_host_put(f->root, "proc/sys/net/core/netdev_max_backlog", "50000");
	fake_host_refuse(f->root, "proc/sys/net/core/wmem_max", EINVAL);
	fake_host_put(f->root, UNIT, "[Unit]");
	g_assert_cmpint(tuner_open(f->root, &f->t), ==, 0);
	g_assert_cmpint(tune_apply(&f->t, &apply, &outcomes, f->error), ==, 0);
	g_assert_cmpuint(outcomes.failed, ==, 1);
	outcomes_clear(&outcomes);
	look(f);
}

static void tear_down(struct fixture *f, const void *data)
{
	plan_free(f->plan);
	host_free(f->host);
	tuner_close(&f->t);
	fake_host_remove(f->root);
}

static int write_all(struct fixture *f)
{
	return persist_write(f->root, f->plan, &options, false, &f->changed, f->error);
}

/* -- files ------------------------------------------------------------------------------------ */

static void test_write(struct fixture *f, const void *data)
{
	g_autofree char *sysctls = NULL, *path = g_build_filename(f->root, WANTS, NULL);
	g_autofree char *target = NULL;

	fake_host_settle(f->root);
	g_assert_cmpint(
		persist_write(f->root, f->plan, &options, true, &f->changed, f->error), ==, 0);
	g_assert_true(f->changed);
	g_assert_cmpuint(fake_host_written(f->root), ==, 0);
	g_assert_cmpint(write_all(f), ==, 0);
	g_assert_true(f->changed);
	sysctls = fake_host_get(f->root, SYSCTLS);
	g_assert_true(g_str_has_prefix(sysctls, "# "));
	g_assert_nonnull(strstr(sysctls, "\nnet.core.rmem_max = 16777216\n"));
	g_assert_nonnull(strstr(sysctls, "\nnet.ipv4.tcp_rmem = 4096 131072 16777216\n"));
	/* What the operator has set, and what the kernel has refused. */
	g_assert_null(strstr(sysctls, "netdev_max_backlog"));
	g_assert_null(strstr(sysctls, "wmem_max"));
	g_assert_null(strstr(sysctls, "rps_cpus"));
	target = g_file_read_link(path, NULL);
	g_assert_cmpstr(target, ==, "/" UNIT);
	fake_host_settle(f->root);
	g_assert_cmpint(write_all(f), ==, 0);
	g_assert_false(f->changed);
	g_assert_cmpuint(fake_host_written(f->root), ==, 0);
}

static void test_load(struct fixture *f, const void *data)
{
	struct persist_options loaded = { 0 };

	g_assert_cmpint(persist_load(f->root, &loaded, f->error), ==, -ENOENT);
	g_assert_cmpint(write_all(f), ==, 0);
	g_assert_cmpint(persist_load(f->root, &loaded, f->error), ==, 0);
	g_assert_cmpuint(loaded.only, ==, KNOB_ALL);
	g_assert_cmpuint(loaded.skip, ==, options.skip);
	g_assert_cmpint(loaded.irqbalance, ==, IRQBALANCE_STOP);
	g_assert_true(loaded.disruptive);
	g_assert_false(loaded.force);
	g_assert_cmpstr(loaded.underlay, ==, "eth0");
	g_assert_null(loaded.iface);
	persist_options_clear(&loaded);
}

static void test_only(struct fixture *f, const void *data)
{
	struct persist_options some = { .only = UINT32_C(1) << KNOB_THREADED }, loaded = { 0 };

	some.iface = (char *)"wt0";
	g_assert_cmpint(
		persist_write(f->root, f->plan, &some, false, &f->changed, f->error), ==, 0);
	g_assert_cmpint(persist_load(f->root, &loaded, f->error), ==, 0);
	g_assert_cmpuint(loaded.only, ==, UINT32_C(1) << KNOB_THREADED);
	g_assert_cmpuint(loaded.skip, ==, 0);
	g_assert_cmpstr(loaded.iface, ==, "wt0");
	persist_options_clear(&loaded);
}

static void test_damaged(struct fixture *f, const void *data)
{
	static const char *const texts[] = { "", "{}", "[]",
		"{\"schema\":\"lapwing.tune.options/1\",\"skip\":[\"rsp\"],\"irqbalance\":\"ban\","
		"\"force\":false,\"disruptive\":false}",
		"{\"schema\":\"lapwing.tune.options/1\",\"skip\":[],\"irqbalance\":\"bann\","
		"\"force\":false,\"disruptive\":false}",
		"{\"schema\":\"lapwing.tune.options/1\",\"skip\":[],\"irqbalance\":\"ban\","
		"\"force\":false,\"disruptive\":false,"
		"\"underlay\":\"a-name-that-is-too-long\"}" };
	struct persist_options loaded = { 0 };

	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
		fake_host_put(f->root, OPTIONS, texts[i]);
		g_assert_cmpint(persist_load(f->root, &loaded, f->error), ==, -EBADMSG);
		g_assert_nonnull(strstr(f->error, OPTIONS ": line "));
		g_assert_null(loaded.underlay);
	}
}

static void test_no_unit(struct fixture *f, const void *data)
{
	fake_host_drop(f->root, "usr");
	fake_host_settle(f->root);
	g_assert_cmpint(write_all(f), ==, -ENOENT);
	g_assert_nonnull(strstr(f->error, "lapwing-tune.service is not installed"));
	g_assert_cmpuint(fake_host_written(f->root), ==, 0);
}

static void test_remove(struct fixture *f, const void *data)
{
	static const char *const paths[] = { SYSCTLS, OPTIONS, WANTS };
	struct stat st;

	g_assert_cmpint(persist_remove(f->root, false, &f->changed, f->error), ==, 0);
	g_assert_false(f->changed);
	g_assert_cmpint(write_all(f), ==, 0);
	for (int check = 1; check >= 0; check--) {
		g_assert_cmpint(persist_remove(f->root, check, &f->changed, f->error), ==, 0);
		g_assert_true(f->changed);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(paths); i++) {
		g_autofree char *path = g_build_filename(f->root, paths[i], NULL);

		g_assert_cmpint(lstat(path, &st), ==, -1);
	}
}

/* -- who else --------------------------------------------------------------------------------- */

static void assert_managers(struct fixture *f, const struct item *item, const char *wanted)
{
	g_autofree char *text = managers_of(f->t.tree, f->host, item);

	g_assert_cmpstr(text, ==, wanted);
}

static const struct item rmem = {
	.knob = KNOB_RMEM,
	.path = (char *)"/proc/sys/net/core/rmem_max",
};

static void test_sysctl_files(struct fixture *f, const void *data)
{
	assert_managers(f, &rmem, NULL);
	fake_host_put(f->root, "usr/lib/sysctl.d/50-a.conf", "# net.core.rmem_max = 1\nkernel.x=1");
	assert_managers(f, &rmem, NULL);
	fake_host_put(f->root, "usr/lib/sysctl.d/50-a.conf", " -net/core/rmem_max = 1");
	assert_managers(f, &rmem, "/usr/lib/sysctl.d/50-a.conf");
	fake_host_put(f->root, "run/sysctl.d/60-b.conf", "net.core.*_max=1");
	assert_managers(f, &rmem, "/run/sysctl.d/60-b.conf");
	/* A name hides the same name elsewhere. */
	fake_host_put(f->root, "etc/sysctl.d/60-b.conf", "");
	assert_managers(f, &rmem, "/usr/lib/sysctl.d/50-a.conf");
	/* Ours overrides that, and is overridden. */
	g_assert_cmpint(write_all(f), ==, 0);
	assert_managers(f, &rmem, NULL);
	fake_host_put(f->root, "etc/sysctl.d/99-c.conf", "net.core.rmem_max=1");
	assert_managers(f, &rmem, "/etc/sysctl.d/99-c.conf");
	fake_host_put(f->root, "etc/sysctl.conf", "net.core.rmem_max=1");
	assert_managers(f, &rmem, "/etc/sysctl.conf");
}

static void test_daemons(struct fixture *f, const void *data)
{
	static const struct item rings = { .knob = KNOB_RINGS, .device = (char *)"eth0" };

	fake_host_put(f->root, "etc/tuned/active_profile", "mine");
	assert_managers(f, &rmem, NULL);
	fake_host_put(f->root, "etc/tuned/mine/tuned.conf",
		"[main]\ninclude=throughput-performance\n[net]\nring=rx 1024");
	fake_host_put(f->root, "usr/lib/tuned/throughput-performance/tuned.conf",
		"[main]\ninclude=mine\n[sysctl]\nnet.core.rmem_max=>16777216");
	assert_managers(f, &rmem, "tuned (profile mine)");
	assert_managers(f, &rings, "tuned (profile mine)");
	fake_host_put(f->root, "proc/77/comm", "bpftune");
	assert_managers(f, &rmem, "tuned (profile mine), bpftune");
}

static void test_links(struct fixture *f, const void *data)
{
	static const struct item channels = { .knob = KNOB_CHANNELS, .device = (char *)"eth0" };

	assert_managers(f, &channels, NULL);
	fake_host_put(f->root, "etc/systemd/network/10-eth.link", "[Link]\nMTUBytes=9000");
	assert_managers(f, &channels, NULL);
	fake_host_put(f->root, "usr/lib/systemd/network/20-b.link", "[Link]\nCombinedChannels=2");
	assert_managers(f, &channels, "/usr/lib/systemd/network/20-b.link");
}

static void test_irqbalance(struct fixture *f, const void *data)
{
	static const struct item irq = {
		.knob = KNOB_IRQ,
		.path = (char *)"/proc/irq/26/smp_affinity",
		.queue = 1,
	};

	assert_managers(f, &irq, NULL);
	fake_host_put(f->root, "irqbalance", "socket 25");
	look(f);
	assert_managers(f, &irq, "irqbalance");
	fake_host_put(f->root, "irqbalance", "socket 25 26");
	look(f);
	assert_managers(f, &irq, NULL);
	fake_host_put(f->root, "irqbalance", "deaf");
	look(f);
	assert_managers(f, &irq, "irqbalance");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define ADD(path, name) \
	g_test_add(path "/" #name, struct fixture, NULL, set_up, test_##name, tear_down)
	ADD("/persist", write);
	ADD("/persist", load);
	ADD("/persist", only);
	ADD("/persist", damaged);
	ADD("/persist", no_unit);
	ADD("/persist", remove);
	ADD("/managers", sysctl_files);
	ADD("/managers", daemons);
	ADD("/managers", links);
	ADD("/managers", irqbalance);
	return g_test_run();
}
