/* agent/cli/cmd_apply.c - plan and apply: both files and the running mesh become what one document says. */
#include <errno.h>
#include <glib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/file.h"
#include "agent/base/replace.h"
#include "agent/cli/apply.h"
#include "agent/cli/client.h"
#include "agent/cli/cmd.h"
#include "agent/cli/secret.h"
#include "mgmt/meshfile.h"
#include "mgmt/netmap.h"

enum { DOCUMENT_MAX = CONFIG_SIZE_MAX + MESHFILE_SIZE_MAX };

/* -- reading ---------------------------------------------------------------------------------- */

static enum exit_code read_document(struct apply *a, struct failure *f)
{
	const char *file = a->o->file;
	char error[512];
	g_autofree char *text = NULL;
	size_t len;
	int r;

	if (!file)
		return failure_set(f, EXIT_USAGE, NULL, "--file is missing");
	a->from = strcmp(file, "-") ? file : "standard input";
	r = a->from == file ? file_read(file, DOCUMENT_MAX, &text, &len)
			    : secret_read_fd(STDIN_FILENO, DOCUMENT_MAX, &text, &len);
	if (r < 0) {
		file_explain(r, a->from, DOCUMENT_MAX, error, sizeof(error));
		return wanted_unreadable(f, r, error);
	}
	return wanted_read(a->from, text, len, &a->wanted, f);
}

/* A request whose failing is told as what it is: not there, or too slow. */
static json_t *ask(const struct apply *a, const char *command, struct failure *f)
{
	struct options waiting = *a->o;

	waiting.wait = true;
	return client_ask_parsed(&waiting, client_request(command), f);
}

/* Whether a daemon runs, and which file is its own. */
static enum exit_code ask_daemon(struct apply *a, struct failure *f)
{
	const char *given = a->o->config, *own;

	a->status = ask(a, "status", f);
	if (f->code == EXIT_TIMEOUT)
		return f->code = EXIT_NOT_RUNNING;
	if (f->code && f->code != EXIT_NOT_RUNNING)
		return f->code;
	own = get_text(json_object_get(a->status, "config"), "file");
	if (given && *own && strcmp(given, own))
		return failure_set(f, EXIT_REFUSED, "--run names the daemon",
			"the daemon at %s reads %s, not %s", a->o->run_dir, own, given);
	a->config_path = g_strdup(given ? given : *own ? own : CONFIG_DEFAULT);
	return EXIT_OK;
}

/* -- doing ------------------------------------------------------------------------------------ */

static enum exit_code cannot_write(struct failure *f, const char *path, int r)
{
	return failure_set(f, r == -EACCES || r == -EPERM ? EXIT_PERMISSION : EXIT_FAILED, NULL,
		"cannot write %s, everything is as it was: %s", path,
		r == -EINVAL || r == -ELOOP ? file_strerror(r) : g_strerror(-r));
}

static int prepare(struct replace *files, const char *path, const char *text, size_t len)
{
	int r = file_make_parent(path, 0755);

	return r < 0 ? r : replace_prepare(files, path, text, len);
}

static enum exit_code write_files(struct apply *a, struct replace *files, struct failure *f)
{
	const struct wanted *w = &a->wanted;
	int r = 0;

	/* The mesh first: a configuration that names it finds it. */
	if (a->mesh_action)
		r = prepare(files, w->config.mesh_file, w->mesh_text, w->mesh_len);
	if (r < 0)
		return cannot_write(f, w->config.mesh_file, r);
	if (a->config_action)
		r = prepare(files, a->config_path, w->config_text, w->config_len);
	if (r >= 0)
		r = replace_commit(files);
	return r < 0 ? cannot_write(f, a->config_path, r) : EXIT_OK;
}

/* It was refused: both files go back, and the daemon forgets that it was asked. */
static enum exit_code take_back(struct apply *a, struct replace *files, struct failure *f)
{
	struct failure why = *f, ignored;
	int r = replace_undo(files);

	json_decref(ask(a, "reload", &ignored));
	if (r < 0)
		return failure_set(f, EXIT_PARTIAL, "what was there is beside them, as *.old.*",
			"%s; and the files cannot be put back: %s", why.message, g_strerror(-r));
	return failure_set(f, why.code, why.hint, "%s; everything is as it was", why.message);
}

static enum exit_code reload(struct apply *a, struct replace *files, struct failure *f)
{
	a->reply = ask(a, "reload", f);
	/* It has them, or will have them when it starts again. */
	if (!f->code || f->code == EXIT_TIMEOUT || f->code == EXIT_NOT_RUNNING)
		return f->code;
	return take_back(a, files, f);
}

static enum exit_code carry_out(struct apply *a, struct failure *f)
{
	struct replace *files = replace_new();
	enum exit_code code = write_files(a, files, f);

	if (!code && a->reload)
		code = reload(a, files, f);
	replace_free(files);
	return code;
}

/* Taken, but not all of it is in place. */
static enum exit_code judge(const struct apply *a)
{
	const char *state = apply_state(a);

	if (a->dry_run)
		return a->o->exit_diff && apply_changes(a) ? EXIT_CHANGES_PENDING : EXIT_OK;
	return a->reply && (!strcmp(state, "degraded") || !strcmp(state, "conflict")) ? EXIT_PARTIAL
										      : EXIT_OK;
}

static enum exit_code run(const struct options *o, bool dry_run, bool diff)
{
	struct apply a = { .o = o, .dry_run = dry_run, .diff = diff };
	enum exit_code code;
	struct failure f;

	code = read_document(&a, &f);
	if (!code)
		code = ask_daemon(&a, &f);
	if (!code)
		code = apply_compare(&a, &f);
	if (!code && !dry_run)
		code = carry_out(&a, &f);
	if (code) {
		failure_report(o, &f);
	} else {
		apply_show(&a);
		code = judge(&a);
	}
	wanted_done(&a.wanted);
	netmap_free(a.map);
	json_decref(a.status);
	json_decref(a.config);
	json_decref(a.difference);
	json_decref(a.reply);
	g_free(a.config_path);
	return code;
}

enum exit_code cmd_plan(const struct options *o)
{
	return run(o, true, true);
}

enum exit_code cmd_apply(const struct options *o)
{
	return run(o, o->dry_run, o->diff);
}
