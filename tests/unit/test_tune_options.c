/* tests/unit/test_tune_options.c - the command line of lapwing tune, and what it prints. */
#include <errno.h>
#include <glib.h>
#include <jansson.h>
#include <string.h>

#include "agent/base/jwrite.h"
#include "agent/cli/output.h"
#include "agent/cli/tune_options.h"
#include "agent/cli/tune_output.h"
#include "agent/tune/setting.h"

/* -- the command line ------------------------------------------------------------------------- */

static enum exit_code parse(
	char **argv, struct tune_options *ret, const char **ret_name, char *error)
{
	const struct tune_command *command;
	enum exit_code code = tune_options_parse(
		(int)g_strv_length(argv), argv, &command, ret, error);

	*ret_name = command ? command->name : NULL;
	return code;
}

/* What is refused, with a part of the message; what is fine, with the name of the subcommand. */
static void test_lines(void)
{
	static const struct {
		const char *args;
		enum exit_code code;
		const char *text;
	} table[] = {
		{ "show", EXIT_OK, "show" },
		{ "--json show", EXIT_OK, "show" },
		{ "plan --exit-diff --root=/x", EXIT_OK, "plan" },
		{ "apply --only irq,rps --persist", EXIT_OK, "apply" },
		{ "apply --on-start --device=eth0", EXIT_OK, "apply" },
		{ "apply --irqbalance=keep --allow-disruptive --rollback-on-error", EXIT_OK,
			"apply" },
		{ "apply --check --persist", EXIT_OK, "apply" },
		{ "apply --check --on-start", EXIT_USAGE, "--on-start: everything else" },
		{ "revert --check", EXIT_OK, "revert" },
		{ "verify", EXIT_OK, "verify" },
		{ "revert --force --skip mtu", EXIT_OK, "revert" },
		{ "--help", EXIT_OK, NULL },
		{ "apply --help", EXIT_OK, "apply" },
		{ "", EXIT_USAGE, "a subcommand is missing" },
		{ "aply", EXIT_USAGE, "unknown subcommand 'aply'; the nearest is apply" },
		{ "revrt", EXIT_USAGE, "the nearest is revert" },
		{ "apply --onyl irq", EXIT_USAGE,
			"unknown option '--onyl'; the nearest is --only" },
		{ "apply --persit=yes", EXIT_USAGE, "'--persit'; the nearest is --persist" },
		{ "apply -x", EXIT_USAGE, "unknown option '-x'" },
		{ "apply --only irq,rpz", EXIT_USAGE, "rps" },
		{ "apply --skip=", EXIT_USAGE, "--skip: " },
		{ "apply --only", EXIT_USAGE, "--only: LIST is missing" },
		{ "apply --irqbalance=bann", EXIT_USAGE, "the nearest is ban" },
		{ "apply --underlay=", EXIT_USAGE, "--underlay: it is empty" },
		{ "apply --underlay=../../etc", EXIT_USAGE, "no name of a device" },
		{ "apply --underlay=..", EXIT_USAGE, "no name of a device" },
		{ "apply --iface=a-name-of-16-chr", EXIT_USAGE, "no name of a device" },
		{ "apply --json=yes", EXIT_USAGE, "--json takes no value" },
		{ "apply eth0", EXIT_USAGE, "apply takes no argument: what is 'eth0'?" },
		{ "apply --on-start --only irq", EXIT_USAGE, "--on-start" },
		{ "show --persist", EXIT_USAGE, "show does not know --persist, known to: apply" },
		{ "verify --force", EXIT_USAGE, "known to: show, plan, apply, revert, measure" },
		{ "show --root=", EXIT_USAGE, "--root: it is empty" },
		{ "show --timeout=x", EXIT_USAGE, "--timeout: seconds" },
		{ "show --duration=5", EXIT_USAGE, "show does not know --duration" },
		{ "show --seconds=0", EXIT_USAGE, "--seconds: 1 to 86400" },
		{ "show --seconds=86401", EXIT_USAGE, "--seconds: 1 to 86400" },
		{ "show --seconds=1e3", EXIT_USAGE, "not '1e3'" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
		g_autofree char *line = g_strdup_printf("tune %s", table[i].args);
		g_auto(GStrv) argv = g_strsplit(g_strchomp(line), " ", -1);
		char error[COMMAND_ERROR_MAX];
		struct tune_options o;
		const char *name;
		enum exit_code code = parse(argv, &o, &name, error);

		g_test_message("%s: %s", table[i].args, error);
		g_assert_cmpint(code, ==, table[i].code);
		if (code)
			g_assert_nonnull(strstr(error, table[i].text));
		else
			g_assert_cmpstr(name, ==, table[i].text);
	}
}

static void test_values(void)
{
	char *argv[] = { (char *)"tune", (char *)"apply", (char *)"--only=irq,rps",
		(char *)"--skip", (char *)"rps", (char *)"--underlay", (char *)"bond0",
		(char *)"--iface=wt1", (char *)"--irqbalance=stop", (char *)"--force",
		(char *)"--persist", (char *)"--json", (char *)"--run=/r", (char *)"--timeout=1.5",
		(char *)"--root", (char *)"/h", NULL };
	char error[COMMAND_ERROR_MAX];
	struct tune_options o;
	const char *name;

	g_assert_cmpint(parse(argv, &o, &name, error), ==, EXIT_OK);
	g_assert_cmpuint(o.only, ==, 1u << KNOB_IRQ | 1u << KNOB_RPS);
	g_assert_cmpuint(o.skip, ==, 1u << KNOB_RPS);
	g_assert_cmpstr(o.underlay, ==, "bond0");
	g_assert_cmpstr(o.iface, ==, "wt1");
	g_assert_cmpint(o.irqbalance, ==, IRQBALANCE_STOP);
	g_assert_true(o.only_given && o.force && o.persist && o.common.json);
	g_assert_false(o.disruptive || o.rollback || o.on_start || o.exit_diff);
	g_assert_cmpstr(o.common.run_dir, ==, "/r");
	g_assert_cmpint(o.common.timeout_ms, ==, 1500);
	g_assert_cmpstr(o.root, ==, "/h");

	argv[2] = NULL;
	g_assert_cmpint(parse(argv, &o, &name, error), ==, EXIT_OK);
	g_assert_cmpuint(o.only, ==, KNOB_ALL);
	g_assert_cmpuint(o.skip, ==, 0);
	g_assert_cmpstr(o.root, ==, "/");
	g_assert_null(o.underlay);
	g_assert_false(o.only_given);
}

/* Of all and of each, no line wider than a terminal; all knobs are named. */
static void test_help(void)
{
	for (const struct tune_command *c = tune_commands;; c++) {
		const struct tune_command *of = c->name ? c : NULL;
		g_auto(GStrv) lines = NULL;
		char *text = NULL;
		size_t len;
		FILE *out = open_memstream(&text, &len);

		tune_options_help(out, of);
		fclose(out);
		g_test_message("%s", text);
		g_assert_true(g_str_has_prefix(text, "Usage: lapwing tune "));
		lines = g_strsplit(text, "\n", -1);
		for (char **line = lines; *line; line++)
			g_assert_cmpuint(strlen(*line), <=, 80);
		for (int knob = 0; !of && knob < KNOBS; knob++)
			g_assert_nonnull(strstr(text, knob_name((enum knob)knob)));
		free(text);
		if (!of)
			break;
	}
}

/* -- values for people ------------------------------------------------------------------------ */

static void test_texts(void)
{
	static const struct {
		enum knob knob;
		const char *value, *text;
	} table[] = {
		{ KNOB_RPS, "0000000f", "CPUs 0-3" },
		{ KNOB_RPS, "ff,00000000", "CPUs 32-39" },
		{ KNOB_RPS, "0", "none" },
		{ KNOB_IRQ, "4", "CPU 2" },
		{ KNOB_IRQ, "zz", "zz" },
		{ KNOB_RSS, "0 1 2 3 0 1 2 3", "even over 4 queues" },
		{ KNOB_RSS, "0 0 0 1 1 1", "even over 2 queues" },
		{ KNOB_RSS, "0 1 2 0 1", "even over 3 queues" },
		{ KNOB_RSS, "0 0 0 1", "uneven over 2 queues" },
		{ KNOB_RSS, "0 0 0 0", "even over 1 queue" },
		{ KNOB_RSS, "0 99999 0", "0 99999 0" },
		{ KNOB_RMEM, "212992", "212992" },
		{ KNOB_RMEM, NULL, "-" },
		{ KNOB_TCP_RMEM, "4096\t131072\t6291456", "4096 131072 6291456" },
		{ KNOB_QDISC, "", "none" },
		{ KNOB_QDISC, "!htb", "!htb" },
		{ KNOB_QDISC, "mq fq fq fq_codel", "mq 2 fq fq_codel" },
		{ KNOB_CHANNELS, "rx 0 tx 0 combined 4", "combined 4" },
		{ KNOB_CHANNELS, "rx 2 tx 2 combined 0", "rx 2 tx 2" },
		{ KNOB_CHANNELS, "odd", "odd" },
		{ KNOB_IRQBALANCE, "running 25 26 27 28 29 30 31 32 33 34 35 36 37",
			"running 25 26 27 28 29 30 31 32 33 34..." },
		{ KNOB_QDISC, "a\x1b[2J", "a\\x1b[2J" },
		{ KNOB_QDISC, "mq fq fq fq fq fq fq fq fq fq fq fq fq fq fq", "mq 14 fq" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
		g_autofree char *text = tune_value_text(table[i].knob, table[i].value);

		g_assert_cmpstr(text, ==, table[i].text);
	}
}

static void test_ids(void)
{
	static const struct {
		enum knob knob;
		const char *object, *id;
	} table[] = {
		{ KNOB_RPS, "eth0 rx-3", "rps.eth0.rx-3" },
		{ KNOB_RMEM, "net.core.rmem_max", "rmem.net.core.rmem_max" },
		{ KNOB_IRQ, "irq 35 (virtio2-input.0)", "irq.35.virtio2-input.0" },
		{ KNOB_CHANNELS, "eth0", "channels.eth0" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
		g_autofree char *id = tune_item_id(table[i].knob, table[i].object);

		g_assert_cmpstr(id, ==, table[i].id);
	}
}

/* -- a plan and its outcome ------------------------------------------------------------------- */

static struct item items[] = {
	{ .knob = KNOB_CHANNELS,
		.state = ITEM_DIFFERS,
		.object = (char *)"eth0",
		.device = (char *)"eth0",
		.current = (char *)"rx 0 tx 0 combined 1",
		.wanted = (char *)"rx 0 tx 0 combined 4",
		.reason = (char *)"one for each CPU",
		.disruptive = true },
	{ .knob = KNOB_RPS,
		.state = ITEM_DIFFERS,
		.object = (char *)"eth0 rx-0",
		.device = (char *)"eth0",
		.current = (char *)"0",
		.wanted = (char *)"f" },
	{ .knob = KNOB_RPS,
		.state = ITEM_DIFFERS,
		.object = (char *)"eth0 rx-1",
		.device = (char *)"eth0",
		.current = (char *)"0",
		.wanted = (char *)"f" },
	{ .knob = KNOB_RPS,
		.state = ITEM_DIFFERS,
		.object = (char *)"wt0 rx-0",
		.device = (char *)"wt0",
		.current = (char *)"0",
		.wanted = (char *)"f" },
	{ .knob = KNOB_RMEM,
		.state = ITEM_OK,
		.object = (char *)"net.core.rmem_max",
		.current = (char *)"16777216",
		.wanted = (char *)"16777216" },
	{ .knob = KNOB_WMEM,
		.state = ITEM_UNREADABLE,
		.object = (char *)"net.core.wmem_max",
		.error = -EACCES },
	{ .knob = KNOB_GRO,
		.state = ITEM_UNSUPPORTED,
		.object = (char *)"eth0",
		.device = (char *)"eth0",
		.reason = (char *)"this host does not route" },
};

struct fixture {
	struct host host;
	struct plan plan;
	struct outcomes outcomes;
	char *text;
};

static struct outcome *outcome(struct fixture *f, enum knob knob, const char *object,
	enum outcome_result result, const char *before, const char *after)
{
	const struct item item = { .knob = knob, .object = (char *)object };

	return outcomes_add(&f->outcomes, &item, result, before, after);
}

static void set_up(struct fixture *f, const void *data)
{
	static char warning[] = "threaded NAPI stalls on this kernel";

	f->host.nics = g_ptr_array_new();
	g_strlcpy(f->host.kernel, "6.1.0", sizeof(f->host.kernel));
	cpuset_parse_list("0-3", &f->host.online);
	cpuset_parse_list("1-3", &f->host.usable);
	f->host.ram_bytes = UINT64_C(1) << 30;
	f->plan.items = g_ptr_array_new();
	for (size_t i = 0; i < G_N_ELEMENTS(items); i++)
		g_ptr_array_add(f->plan.items, &items[i]);
	f->plan.warnings = g_ptr_array_new();
	g_ptr_array_add(f->plan.warnings, warning);
	f->plan.worst_case_bytes = 64 << 20;
	f->plan.role = ROLE_FEW_PEERS;
	f->plan.role_reason = (char *)"few peers: steer on wt0";
	outcomes_init(&f->outcomes);
}

static void tear_down(struct fixture *f, const void *data)
{
	outcomes_clear(&f->outcomes);
	g_ptr_array_unref(f->host.nics);
	g_ptr_array_unref(f->plan.items);
	g_ptr_array_unref(f->plan.warnings);
	g_free(f->text);
}

static void assert_prints(struct fixture *f, FILE *out, const char *const *lines)
{
	fclose(out);
	g_test_message("\n%s", f->text);
	for (; *lines; lines++)
		if (!strstr(f->text, *lines))
			g_error("'%s' is missing", *lines);
}

static FILE *memory(struct fixture *f)
{
	static size_t len;

	g_free(f->text);
	return open_memstream(&f->text, &len);
}

static void test_show(struct fixture *f, const void *data)
{
	static const char *const lines[] = { "Linux 6.1.0, 4 CPUs online, 1.0 GiB RAM",
		"work goes to CPUs 1-3", "underlay   none was found", "few peers: steer on wt0",
		"KNOB      OBJECT                  CURRENT     RECOMMENDED  STATE",
		"one for each CPU (disruptive)\n", "eth0 rx-0 ... rx-1 (2)  none", "CPUs 0-3",
		"wt0 rx-0", "ok", "unreadable", "Permission denied",
		"take at most 64.0 MiB of 1.0 GiB\n",
		"warning: threaded NAPI stalls on this kernel\n", NULL };
	FILE *out = memory(f);

	tune_print_show(out, &f->host, &f->plan);
	assert_prints(f, out, lines);
}

static void test_plan(struct fixture *f, const void *data)
{
	static const char *const lines[] = {
		"channels     eth0: combined 1 → combined 4 (needs --allow-disruptive)\n",
		"rps          eth0 rx-0 ... rx-1 (2): none → CPUs 0-3\n",
		"rps          wt0 rx-0: none → CPUs 0-3\n",
		"4 to change, 1 of them only with --allow-disruptive\n", NULL
	};
	FILE *out = memory(f);

	tune_print_plan(out, &f->host, &f->plan);
	assert_prints(f, out, lines);
	g_assert_null(strstr(f->text, "rmem_max"));

	g_ptr_array_remove_range(f->plan.items, 0, 4);
	out = memory(f);
	tune_print_plan(out, &f->host, &f->plan);
	assert_prints(f, out, (const char *const[]){ "nothing to change\n", NULL });
}

static json_t *parse_document(GString *out)
{
	json_error_t error;
	json_t *root;

	jwrite_close(out, '}');
	root = json_loads(out->str, JSON_REJECT_DUPLICATES, &error);
	if (!root)
		g_error("%s: %s", error.text, out->str);
	g_string_free(out, TRUE);
	return root;
}

static void test_plan_document(struct fixture *f, const void *data)
{
	GString *out = document_new("lapwing.tune.plan/1", "differs");
	const json_t *list, *item;
	json_t *root;

	tune_write_plan(out, &f->host, &f->plan);
	root = parse_document(out);
	g_assert_cmpint(get_int(root, "pending"), ==, 4);
	g_assert_cmpint(get_int(root, "pending_disruptive"), ==, 1);
	g_assert_cmpstr(get_text(root, "role"), ==, "few_peers");
	g_assert_cmpint(get_int(root, "worst_case_bytes"), ==, 64 << 20);
	list = json_object_get(root, "items");
	g_assert_cmpuint(json_array_size(list), ==, G_N_ELEMENTS(items));
	item = json_array_get(list, 1);
	g_assert_cmpstr(get_text(item, "id"), ==, "rps.eth0.rx-0");
	g_assert_cmpstr(get_text(item, "current"), ==, "0");
	g_assert_cmpstr(get_text(item, "wanted"), ==, "f");
	g_assert_cmpstr(get_text(item, "state"), ==, "differs");
	g_assert_cmpstr(get_text(item, "section"), ==, "4.3");
	g_assert_true(get_is_null(item, "error"));
	item = json_array_get(list, 5);
	g_assert_cmpstr(get_text(item, "state"), ==, "unreadable");
	g_assert_cmpstr(get_text(item, "error"), ==, "Permission denied");
	g_assert_true(get_is_null(item, "current"));
	json_decref(root);
}

static void test_outcomes(struct fixture *f, const void *data)
{
	static const char *const lines[] = {
		"changed  rps          eth0 rx-0 ... rx-1 (2): none → CPUs 0-3\n",
		"failed   irq          irq 35 (mlx5_comp0): CPUs 0-3 → CPU 0: Input/output "
		"error\n",
		"skipped  channels     eth0: combined 1 → combined 4: it resets the link\n",
		"2 changed, 1 skipped, 1 failed\n", NULL
	};
	GString *document = document_new("x/1", "partial");
	const json_t *list;
	json_t *root;
	FILE *out;

	outcome(f, KNOB_RMEM, "net.core.rmem_max", OUTCOME_ALREADY, "1", "1");
	outcome(f, KNOB_RPS, "eth0 rx-0", OUTCOME_CHANGED, "0", "f");
	outcome(f, KNOB_RPS, "eth0 rx-1", OUTCOME_CHANGED, "0", "f");
	outcome(f, KNOB_IRQ, "irq 35 (mlx5_comp0)", OUTCOME_FAILED, "f", "1")->error = -EIO;
	outcome(f, KNOB_CHANNELS, "eth0", OUTCOME_SKIPPED, "combined 1", "combined 4")->reason =
		g_strdup("it resets the link");
	f->outcomes.changed = 2;
	f->outcomes.failed = f->outcomes.skipped = 1;
	out = memory(f);
	tune_print_outcomes(out, &f->outcomes);
	assert_prints(f, out, lines);
	g_assert_null(strstr(f->text, "rmem_max"));

	tune_write_outcomes(document, &f->outcomes, "before", "after");
	root = parse_document(document);
	list = json_object_get(root, "items");
	g_assert_cmpuint(json_array_size(list), ==, 5);
	g_assert_cmpstr(get_text(json_array_get(list, 0), "result"), ==, "ok");
	g_assert_cmpstr(get_text(json_array_get(list, 1), "before"), ==, "0");
	g_assert_cmpstr(get_text(json_array_get(list, 3), "error"), ==, "Input/output error");
	g_assert_cmpstr(get_text(json_array_get(list, 4), "reason"), ==, "it resets the link");
	json_decref(root);
}

static void test_verified(struct fixture *f, const void *data)
{
	static const char *const lines[] = {
		"drifted  rmem         net.core.rmem_max: 16777216 expected, but it is 212992: "
		"tuned\n",
		"gone     irq          irq 9 (x): CPU 0 expected, but it is -: is not there now\n",
		"1 of 3 are as they were applied\n", NULL
	};
	FILE *out = memory(f);

	tune_print_verified(out, &f->outcomes);
	assert_prints(f, out, (const char *const[]){ "nothing was applied\n", NULL });
	outcome(f, KNOB_RPS, "eth0 rx-0", OUTCOME_ALREADY, "f", "f");
	outcome(f, KNOB_RMEM, "net.core.rmem_max", OUTCOME_DRIFTED, "16777216", "212992")->reason =
		g_strdup("tuned");
	outcome(f, KNOB_IRQ, "irq 9 (x)", OUTCOME_GONE, "1", NULL)->reason = g_strdup(
		"is not there now");
	f->outcomes.drifted = f->outcomes.gone = 1;
	out = memory(f);
	tune_print_verified(out, &f->outcomes);
	assert_prints(f, out, lines);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/tune_options/lines", test_lines);
	g_test_add_func("/tune_options/values", test_values);
	g_test_add_func("/tune_options/help", test_help);
	g_test_add_func("/tune_options/texts", test_texts);
	g_test_add_func("/tune_options/ids", test_ids);
#define TEST(name, function) g_test_add(name, struct fixture, NULL, set_up, function, tear_down)
	TEST("/tune_options/show", test_show);
	TEST("/tune_options/plan", test_plan);
	TEST("/tune_options/plan_document", test_plan_document);
	TEST("/tune_options/outcomes", test_outcomes);
	TEST("/tune_options/verified", test_verified);
	return g_test_run();
}
