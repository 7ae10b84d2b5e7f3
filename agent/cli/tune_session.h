/* agent/cli/tune_session.h - a host opened for one subcommand of lapwing tune. */
#pragma once

#include "agent/cli/output.h"
#include "agent/cli/tune_options.h"
#include "agent/tune/apply.h"

#define TUNE_MTU_OWNED "lapwingd sets it: lapwing tune mtu --apply"

struct tune_session {
	const struct tune_options *o;
	struct tuner tuner;
	struct host *host; /* both from tune_session_plan */
	struct plan *plan;
	char owned[IFNAMSIZ]; /* the interface of a daemon, which sets its MTU; "": none */
	bool measured; /* to what was measured there */
	struct failure failure;
};

/* Zero *ret before, tune_session_close after. Devices that were named have to be there. Errors are in
 * s->failure. */
enum exit_code tune_session_open(const struct tune_options *o, struct tune_session *ret);
void tune_session_close(struct tune_session *s);
/* What the options and the daemon want of a plan. */
void tune_session_wish(
	const struct tune_session *s, struct plan_options *ret_plan, struct host_wish *ret_wish);
/* Looks at the host and plans; again, when it was done before. */
enum exit_code tune_session_plan(struct tune_session *s);
/* Of -errno and what agent/tune says about it; `named`: of a device of the command line, if of one. */
enum exit_code tune_failure(struct failure *f, int r, bool named, const char *error);
enum exit_code tune_session_fail(struct tune_session *s, int r, const char *error);
/* Root is needed for what follows, of a real host. */
enum exit_code tune_session_need_root(struct tune_session *s);
