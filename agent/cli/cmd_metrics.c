/* agent/cli/cmd_metrics.c - metrics: asks once, and prints or writes Prometheus text. */
#include <errno.h>
#include <stdio.h>
#include <sys/utsname.h>

#include "agent/base/file.h"
#include "agent/base/jwrite.h"
#include "agent/cli/client.h"
#include "agent/cli/cmd.h"
#include "agent/cli/metrics.h"
#include "agent/cli/tune_drift.h"

static enum exit_code put(const struct options *o, const GString *text)
{
	int r = 0;

	if (o->textfile)
		r = file_write(o->textfile, text->str, text->len, 0644);
	else
		fwrite(text->str, 1, text->len, stdout);
	return r < 0 ? fail(o, r == -EACCES ? EXIT_PERMISSION : EXIT_FAILED, NULL,
			       "cannot write %s: %s", o->textfile, g_strerror(-r))
		     : EXIT_OK;
}

static enum exit_code put_samples(const struct options *o)
{
	struct failure f;
	json_t *document = client_ask_parsed(o, client_request("samples"), &f);
	g_autoptr(GString) text = NULL;

	if (!document)
		return failure_report(o, &f);
	text = g_string_new(get_text(document, "lines"));
	json_decref(document);
	return put(o, text);
}

/* No daemon: that is a value, too. What cannot be asked has none. */
enum exit_code cmd_metrics(const struct options *o)
{
	g_autoptr(GString) text = g_string_new(NULL);
	GString *request;
	struct utsname system = { 0 };
	enum exit_code written;
	struct failure f;
	json_t *status;

	if (o->samples)
		return put_samples(o);
	request = client_request("status");
	uname(&system);
	jwrite_bool(request, "detail", o->per_peer);
	status = client_ask_parsed(o, request, &f);
	if (f.code)
		failure_report(o, &f);
	if (f.code && f.code != EXIT_NOT_RUNNING)
		return f.code;
	metrics_write(text, status, system.release);
	json_decref(status);
	tune_drift_write(text, "/");
	written = put(o, text);
	return written ? written : f.code;
}
