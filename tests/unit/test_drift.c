/* tests/unit/test_drift.c - what of the applied settings the metrics say has drifted. */
#include <glib.h>
#include <string.h>

#include "agent/cli/tune_drift.h"
#include "agent/tune/apply.h"
#include "tests/unit/fake_host.h"

static char *written(const char *root)
{
	GString *out = g_string_new(NULL);

	tune_drift_write(out, root);
	return g_string_free(out, FALSE);
}

static void test_drift(void)
{
	static const struct fake_host want = { .nics = { { FAKE_VIRTIO } } };
	const struct apply_options apply = { .plan = { .only = KNOB_ALL } };
	char *root = fake_host_make(&want), error[256];
	g_autofree char *before = written(root), *after = NULL, *drifted = NULL;
	struct outcomes outcomes;
	struct tuner t;

	g_assert_cmpstr(before, ==, "");
	g_assert_cmpint(tuner_open(root, &t), ==, 0);
	g_assert_cmpint(tune_apply(&t, &apply, &outcomes, error), ==, 0);
	outcomes_clear(&outcomes);
	after = written(root);
	g_assert_true(g_str_has_prefix(after, "# HELP lapwing_tune_drift "));
	g_assert_nonnull(strstr(after, "lapwing_tune_drift{knob=\"backlog\"} 0\n"));
	g_assert_null(strstr(after, "} 1\n"));
	fake_host_put(root, "proc/sys/net/core/netdev_max_backlog", "77");
	drifted = written(root);
	g_assert_nonnull(strstr(drifted, "lapwing_tune_drift{knob=\"backlog\"} 1\n"));
	g_assert_nonnull(strstr(drifted, "lapwing_tune_drift{knob=\"rmem\"} 0\n"));
	/* Of a damaged journal nothing can be said. */
	fake_host_put(root, JOURNAL_PATH + 1, "{");
	g_free(drifted);
	drifted = written(root);
	g_assert_cmpstr(drifted, ==, "");
	tuner_close(&t);
	fake_host_remove(root);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/drift/drift", test_drift);
	return g_test_run();
}
