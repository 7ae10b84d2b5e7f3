/* agent/cli/cmd_report.c - report: one archive for whoever helps. It is written to a file and sent nowhere. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "agent/base/file.h"
#include "agent/base/jwrite.h"
#include "agent/cli/anonymize.h"
#include "agent/cli/client.h"
#include "agent/cli/cmd.h"
#include "agent/cli/cmd_doctor.h"
#include "agent/cli/metrics.h"
#include "agent/cli/tar.h"
#include "agent/cli/tune_drift.h"
#include "agent/cli/wanted.h"
#include "agent/tune/journal.h"
#include "agent/tune/tree.h"

struct report {
	const struct options *o;
	struct anonymizer *anonymizer;
	struct tree *tree;
	struct utsname system;
	GString *archive, *missing;
	GPtrArray *members; /* char * */
	int64_t now_s;
};

/* -- members ---------------------------------------------------------------------------------- */

static void add_text(struct report *r, const char *name, const char *text)
{
	g_autofree char *clean = anonymizer_text(r->anonymizer, text);
	g_autofree char *path = g_build_filename("lapwing-report", name, NULL);

	tar_add(r->archive, path, clean, strlen(clean), r->now_s);
	g_ptr_array_add(r->members, g_strdup(name));
}

/* Takes the document. Its texts are cleaned one by one, so that it stays one. */
static void add_json(struct report *r, const char *name, json_t *document)
{
	g_autofree char *path = g_build_filename("lapwing-report", name, NULL);
	char *text;

	if (!document)
		return;
	anonymizer_json(r->anonymizer, document);
	text = json_dumps(document, JSON_INDENT(1));
	json_decref(document);
	if (!text)
		return;
	tar_add(r->archive, path, text, strlen(text), r->now_s);
	g_ptr_array_add(r->members, g_strdup(name));
	free(text);
}

static void add_missing(struct report *r, const char *name, const char *why)
{
	g_string_append_printf(r->missing, "%s: %s\n", name, why);
}

/* -- what the daemon says --------------------------------------------------------------------- */

static json_t *ask(struct report *r, const char *command, const char *name)
{
	GString *request = client_request(command);
	json_t *document;
	struct failure f;

	if (!strcmp(command, "status"))
		jwrite_bool(request, "detail", true);
	document = client_ask_parsed(r->o, request, &f);
	if (!document)
		add_missing(r, name, f.message);
	return document;
}

/* "db1.example.net" may be written as "db1", and "example.net" tells whose it is. */
static void learn(struct report *r, const char *name)
{
	size_t len = strcspn(name, ".");
	g_autofree char *label = g_strndup(name, len);

	anonymizer_learn(r->anonymizer, name);
	anonymizer_learn(r->anonymizer, label);
	if (name[len] && strchr(name + len + 1, '.'))
		anonymizer_learn(r->anonymizer, name + len + 1);
}

static void learn_names(struct report *r, const json_t *status)
{
	const json_t *peer;
	size_t i;

	learn(r, r->system.nodename);
	learn(r, get_text(json_object_get(status, "host"), "name"));
	learn(r, get_text(json_object_get(status, "mesh"), "name"));
	json_array_foreach(json_object_get(status, "peers"), i, peer)
		learn(r, get_text(peer, "name"));
}

static void add_daemon(struct report *r)
{
	g_autoptr(GString) metrics = g_string_new(NULL);
	json_t *status = ask(r, "status", "status.json"), *samples;

	learn_names(r, status);
	metrics_write(metrics, status, r->system.release);
	tune_drift_write(metrics, "/");
	add_json(r, "status.json", status);
	add_json(r, "runtime.json", ask(r, "runtime", "runtime.json"));
	add_json(r, "events.json", ask(r, "recent", "events.json"));
	add_text(r, "metrics.prom", metrics->str);
	samples = ask(r, "samples", "samples.txt");
	if (*get_text(samples, "lines"))
		add_text(r, "samples.txt", get_text(samples, "lines"));
	json_decref(samples);
}

/* -- files ------------------------------------------------------------------------------------ */

static void add_json_file(struct report *r, const char *name, const char *path)
{
	g_autofree char *text = NULL;
	json_error_t error;
	json_t *document;
	int rc = tree_read(r->tree, path, &text);

	if (rc < 0)
		return add_missing(r, name, g_strerror(-rc));
	document = json_loads(text, 0, &error);
	if (!document)
		return add_missing(r, name, "it is no JSON, so that secrets could not be left out");
	anonymize_secrets(document);
	anonymizer_members(r->anonymizer, json_object_get(document, "endpoints"));
	add_json(r, name, document);
}

static void append_file(struct report *r, GString *out, const char *path)
{
	g_autofree char *text = NULL;

	if (tree_read(r->tree, path, &text) == 0)
		g_string_append_printf(out, "== %s\n%s\n\n", path, text);
}

static void append_filters(struct report *r, GString *out)
{
	g_autoptr(GPtrArray) devices = NULL;

	if (tree_list(r->tree, "/proc/sys/net/ipv4/conf", &devices) < 0)
		return;
	for (guint i = 0; i < devices->len; i++) {
		g_autofree char *path = g_build_filename(
			"/proc/sys/net/ipv4/conf", devices->pdata[i], "rp_filter", NULL);

		append_file(r, out, path);
	}
}

/* Nothing that has addresses in another form than people write them. */
static void add_kernel(struct report *r)
{
	static const char *const paths[] = { "/proc/version", "/etc/os-release", "/proc/uptime",
		"/proc/loadavg", "/proc/meminfo", "/proc/modules", "/proc/net/dev",
		"/proc/net/snmp", "/proc/net/netstat", "/proc/net/softnet_stat",
		"/proc/net/sockstat", "/proc/sys/net/ipv4/ip_forward",
		"/proc/sys/net/ipv4/conf/all/src_valid_mark",
		"/proc/sys/net/ipv6/conf/all/forwarding", "/proc/sys/net/core/rmem_max",
		"/proc/sys/net/core/wmem_max", "/proc/sys/net/core/netdev_max_backlog",
		"/proc/sys/net/netfilter/nf_conntrack_count",
		"/proc/sys/net/netfilter/nf_conntrack_max" };
	g_autoptr(GString) out = g_string_new(NULL);

	for (size_t i = 0; i < G_N_ELEMENTS(paths); i++)
		append_file(r, out, paths[i]);
	append_filters(r, out);
	add_text(r, "kernel.txt", out->str);
}

static void add_doctor(struct report *r)
{
	GString *document = doctor_document(r->o);

	if (!document)
		return;
	jwrite_close(document, '}');
	add_json(r, "doctor.json", json_loads(document->str, 0, NULL));
	g_string_free(document, TRUE);
}

static void add_about(struct report *r)
{
	g_autofree char *text = g_strdup_printf(
		"lapwing %s, anonymize: %s\n"
		"Private and pre-shared keys are never collected. The log is not in here either: "
		"journalctl -u lapwing\n%s%s",
		LAPWING_VERSION, r->o->anonymize ? r->o->anonymize : "default",
		r->missing->len ? "\nCould not be had:\n" : "", r->missing->str);

	add_text(r, "README", text);
}

/* -- the command ------------------------------------------------------------------------------ */

static enum anonymize level_of(const char *word)
{
	if (!word || !strcmp(word, "default"))
		return ANONYMIZE_DEFAULT;
	return strcmp(word, "off") ? ANONYMIZE_STRICT : ANONYMIZE_OFF;
}

static void print_result(const struct report *r, const char *path)
{
	g_autofree char *bytes = text_bytes((int64_t)r->archive->len);
	GString *out;

	if (!r->o->json) {
		printf("%s: %s, %u files; read it before you send it to anybody\n", path, bytes,
			r->members->len);
		return;
	}
	out = document_new("lapwing.report/1", "written");
	jwrite_string(out, "file", path);
	jwrite_int(out, "bytes", (int64_t)r->archive->len);
	jwrite_open(out, "members", '[');
	for (guint i = 0; i < r->members->len; i++)
		jwrite_string(out, NULL, r->members->pdata[i]);
	jwrite_close(out, ']');
	document_print(out);
}

static enum exit_code put(const struct report *r)
{
	g_autoptr(GDateTime) now = g_date_time_new_from_unix_utc(r->now_s);
	g_autofree char *name = g_date_time_format(now, "lapwing-report-%Y%m%dT%H%M%SZ.tar");
	const char *path = r->o->output ? r->o->output : name;
	int rc;

	if (!strcmp(path, "-")) {
		fwrite(r->archive->str, 1, r->archive->len, stdout);
		return EXIT_OK;
	}
	rc = file_write(path, r->archive->str, r->archive->len, 0600);
	if (rc < 0)
		return fail(r->o, rc == -EACCES ? EXIT_PERMISSION : EXIT_FAILED, NULL,
			"cannot write %s: %s", path, g_strerror(-rc));
	print_result(r, path);
	return EXIT_OK;
}

enum exit_code cmd_report(const struct options *o)
{
	struct report r = { .o = o };
	enum exit_code code;
	int rc = tree_open("/", &r.tree);

	if (rc < 0)
		return fail(o, EXIT_FAILED, NULL, "cannot look at /: %s", g_strerror(-rc));
	uname(&r.system);
	r.now_s = g_get_real_time() / G_USEC_PER_SEC;
	r.anonymizer = anonymizer_new(level_of(o->anonymize));
	r.archive = g_string_new(NULL);
	r.missing = g_string_new(NULL);
	r.members = g_ptr_array_new_with_free_func(g_free);
	add_daemon(&r);
	add_doctor(&r);
	add_json_file(&r, "config.json", o->config ? o->config : CONFIG_DEFAULT);
	add_json_file(&r, "tune.json", JOURNAL_PATH);
	add_kernel(&r);
	add_about(&r);
	tar_end(r.archive);
	code = put(&r);
	g_ptr_array_unref(r.members);
	g_string_free(r.missing, TRUE);
	g_string_free(r.archive, TRUE);
	anonymizer_free(r.anonymizer);
	tree_close(r.tree);
	return code;
}
