/* agent/cli/tune_change.c - tune apply, verify and revert. */
#include <errno.h>
#include <string.h>

#include "agent/base/jwrite.h"
#include "agent/cli/tune_cmd.h"
#include "agent/cli/tune_output.h"
#include "agent/cli/tune_session.h"
#include "agent/cli/tune_start.h"
#include "agent/tune/persist.h"

/* What a subcommand has done. */
struct change {
	struct tune_session session;
	struct outcomes outcomes;
	bool files_changed; /* those that outlive a restart */
	bool mtu_forgotten; /* by the daemon, which had it measured */
	char files_error[256]; /* "": none */
	const char *note;
};

static bool is_changed(const struct change *c)
{
	return c->outcomes.changed > 0 || c->files_changed || c->mtu_forgotten;
}

static void change_clear(struct change *c)
{
	if (c->outcomes.list)
		outcomes_clear(&c->outcomes);
	tune_session_close(&c->session);
}

static void print_changes(const struct change *c)
{
	bool check = c->session.o->check;

	if (check && is_changed(c))
		puts("nothing was changed; this would be:");
	tune_print_outcomes(stdout, &c->outcomes);
	if (c->note)
		puts(c->note);
	if (c->files_error[0])
		fprintf(stderr, "lapwing: %s\n", c->files_error);
	else if (c->files_changed)
		printf("what happens at the next start of this host %s changed\n",
			check ? "would be" : "was");
	else if (!is_changed(c) && !c->outcomes.failed && !c->outcomes.drifted)
		puts("nothing to change");
}

static enum exit_code report(const struct change *c, const char *schema, enum exit_code code)
{
	GString *out;

	if (!c->session.o->common.json) {
		print_changes(c);
		return code;
	}
	out = document_new(schema, exit_code_class(code));
	jwrite_bool(out, "changed", is_changed(c));
	jwrite_bool(out, "check", c->session.o->check);
	jwrite_string(out, "note", c->note);
	jwrite_bool(out, "files_changed", c->files_changed);
	jwrite_string(out, "files_error", c->files_error[0] ? c->files_error : NULL);
	tune_write_outcomes(out, &c->outcomes, "before", "after");
	document_print(out);
	return code;
}

/* -- apply ------------------------------------------------------------------------------------ */

static enum exit_code persist(struct change *c)
{
	const struct tune_options *o = c->session.o;
	struct persist_options options = {
		.only = o->only,
		.skip = o->skip,
		.irqbalance = o->irqbalance,
		.force = o->force,
		.disruptive = o->disruptive,
		.underlay = (char *)o->underlay,
		.iface = (char *)o->iface,
	};
	enum exit_code code = tune_session_plan(&c->session);

	if (code)
		return code;
	persist_write(
		o->root, c->session.plan, &options, o->check, &c->files_changed, c->files_error);
	return EXIT_OK;
}

/* Only what would be disruptive was asked for, and not done. */
static bool is_refused(struct change *c)
{
	const struct tune_options *o = c->session.o;

	if (!o->only_given || o->disruptive || c->outcomes.changed || !c->outcomes.skipped)
		return false;
	return tune_session_plan(&c->session) == EXIT_OK &&
		plan_pending(c->session.plan, true) > plan_pending(c->session.plan, false);
}

static enum exit_code write_settings(struct change *c)
{
	struct tune_session *s = &c->session;
	struct apply_options options = {
		.disruptive = s->o->disruptive,
		.rollback_on_error = s->o->rollback,
	};
	char error[256];
	int r;

	tune_session_wish(s, &options.plan, &options.wish);
	if (s->owned[0] && !g_strcmp0(options.wish.iface, s->owned)) {
		if (options.plan.only & ~options.plan.skip & UINT32_C(1) << KNOB_MTU)
			c->note = "mtu: " TUNE_MTU_OWNED;
		options.plan.skip |= UINT32_C(1) << KNOB_MTU;
	}
	r = tune_apply(&s->tuner, &options, &c->outcomes, error);
	return r < 0 ? tune_session_fail(s, r, error) : EXIT_OK;
}

/* A device appears before its routes, and before what lies over it. */
static bool is_too_early(const struct tune_options *o, enum exit_code code)
{
	return o->on_start && o->device && (code == EXIT_USAGE || code == EXIT_NOT_APPLICABLE);
}

static enum exit_code apply(struct change *c, const struct tune_options *o)
{
	enum exit_code code = tune_session_open(o, &c->session);

	if (!code)
		code = tune_session_need_root(&c->session);
	if (!code)
		code = write_settings(c);
	if (!code && o->persist)
		code = persist(c);
	if (is_too_early(o, code)) {
		fprintf(stderr, "lapwing: not yet: %s\n", c->session.failure.message);
		return EXIT_OK;
	}
	if (code)
		return failure_report(&o->common, &c->session.failure);
	if (c->outcomes.failed || c->files_error[0])
		code = EXIT_PARTIAL;
	else if (is_refused(c))
		code = EXIT_REFUSED;
	return report(c, "lapwing.tune.apply/1", code);
}

enum exit_code cmd_tune_apply(const struct tune_options *o)
{
	struct change c = { .note = NULL };
	struct tune_options options = *o;
	struct tune_start start = { 0 };
	enum exit_code code = EXIT_OK;
	bool wanted = true;
	struct failure f;

	if (o->on_start)
		code = tune_start_load(&options, &start, &wanted, &f);
	if (code)
		failure_report(&o->common, &f);
	else if (wanted)
		code = apply(&c, &options);
	change_clear(&c);
	tune_start_clear(&start);
	return code;
}

/* -- verify and revert ------------------------------------------------------------------------ */

static enum exit_code verify(struct change *c)
{
	struct tune_session *s = &c->session;
	enum exit_code code = tune_session_need_root(s);
	char error[256];
	int r;

	if (code)
		return code;
	r = tune_verify(&s->tuner, &c->outcomes, error);
	return r < 0 ? tune_session_fail(s, r, error) : EXIT_OK;
}

enum exit_code cmd_tune_verify(const struct tune_options *o)
{
	struct change c = { .note = NULL };
	enum exit_code code = tune_session_open(o, &c.session);
	GString *out;

	if (!code)
		code = verify(&c);
	if (code) {
		failure_report(&o->common, &c.session.failure);
	} else {
		code = c.outcomes.drifted || c.outcomes.failed ? EXIT_DRIFT : EXIT_OK;
		if (o->common.json) {
			out = document_new("lapwing.tune.verify/1", exit_code_class(code));
			tune_write_outcomes(out, &c.outcomes, "expected", "actual");
			document_print(out);
		} else {
			tune_print_verified(stdout, &c.outcomes);
		}
	}
	change_clear(&c);
	return code;
}

/* The files go first: then nothing comes back at the next start, whatever becomes of the rest. */
static enum exit_code revert(struct change *c)
{
	struct tune_session *s = &c->session;
	uint32_t knobs = s->o->only & ~s->o->skip;
	enum exit_code code = tune_session_need_root(s);
	char error[256];
	int r;

	if (code)
		return code;
	if (knobs == KNOB_ALL)
		persist_remove(s->o->root, s->o->check, &c->files_changed, c->files_error);
	else
		c->note = "what --persist wrote stays";
	r = tune_revert(&s->tuner, knobs, s->o->force, &c->outcomes, error);
	if (r < 0)
		return tune_session_fail(s, r, error);
	if (!s->owned[0] || !(knobs & UINT32_C(1) << KNOB_MTU))
		return EXIT_OK;
	if (s->o->check)
		c->mtu_forgotten = s->measured;
	else
		code = tune_tell_mtu(&s->o->common, 0, &c->mtu_forgotten, &s->failure);
	if (c->mtu_forgotten && !s->o->check)
		c->note = "mtu: lapwingd has forgotten what was measured";
	return code;
}

enum exit_code cmd_tune_revert(const struct tune_options *o)
{
	struct change c = { .note = NULL };
	enum exit_code code = tune_session_open(o, &c.session);

	if (!code)
		code = revert(&c);
	if (code)
		failure_report(&o->common, &c.session.failure);
	else
		code = report(&c, "lapwing.tune.revert/1",
			c.outcomes.failed || c.outcomes.drifted || c.files_error[0] ? EXIT_PARTIAL
										    : EXIT_OK);
	change_clear(&c);
	return code;
}
