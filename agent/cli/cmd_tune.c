/* agent/cli/cmd_tune.c - lapwing tune: its subcommands, and those that only look. */
#include <errno.h>

#include "agent/base/jwrite.h"
#include "agent/cli/tune_cmd.h"
#include "agent/cli/tune_output.h"
#include "agent/cli/tune_session.h"

static void print_plan(const struct tune_session *s, const char *schema,
	void (*print)(FILE *out, const struct host *host, const struct plan *plan))
{
	GString *out;

	if (!s->o->common.json)
		return print(stdout, s->host, s->plan);
	out = document_new(schema, plan_pending(s->plan, true) ? "differs" : "ok");
	tune_write_plan(out, s->host, s->plan);
	document_print(out);
}

enum exit_code cmd_tune_show(const struct tune_options *o)
{
	struct tune_session s = { .o = o };
	enum exit_code code = tune_session_open(o, &s);

	if (!code)
		code = tune_session_plan(&s);
	if (code)
		failure_report(&o->common, &s.failure);
	else
		print_plan(&s, "lapwing.tune.show/1", tune_print_show);
	tune_session_close(&s);
	return code;
}

enum exit_code cmd_tune_plan(const struct tune_options *o)
{
	struct tune_session s = { .o = o };
	enum exit_code code = tune_session_open(o, &s);

	if (!code)
		code = tune_session_plan(&s);
	if (!code && !host_is_networked(s.host))
		code = tune_session_fail(&s, -ENODEV, HOST_NOT_NETWORKED);
	if (code) {
		failure_report(&o->common, &s.failure);
	} else {
		print_plan(&s, "lapwing.tune.plan/1", tune_print_plan);
		if (o->exit_diff && plan_pending(s.plan, true))
			code = EXIT_CHANGES_PENDING;
	}
	tune_session_close(&s);
	return code;
}

enum exit_code cmd_tune(int argc, char **argv)
{
	const struct tune_command *command;
	char error[COMMAND_ERROR_MAX];
	struct tune_options o;
	enum exit_code code = tune_options_parse(argc, argv, &command, &o, error);

	if (code)
		return fail(&o.common, code, "try lapwing tune --help", "%s", error);
	if (o.common.version) {
		puts("lapwing " LAPWING_VERSION);
		return EXIT_OK;
	}
	if (o.common.help) {
		tune_options_help(stdout, command);
		return EXIT_OK;
	}
	return command->run(&o);
}
