/* agent/cli/doctor.c - one check after the other, and what they share. */
#include "agent/cli/doctor.h"

#include <stdarg.h>
#include <string.h>

static const struct {
	const char *name;
	doctor_check_fn run;
} checks[] = {
	{ "daemon", doctor_check_daemon },
	{ "kernel", doctor_check_kernel },
	{ "module", doctor_check_module },
	{ "capabilities", doctor_check_capabilities },
	{ "nftables", doctor_check_nft },
	{ "rp_filter", doctor_check_rp_filter },
	{ "mtu", doctor_check_mtu },
	{ "port", doctor_check_port },
	{ "clock", doctor_check_clock },
	{ "networkd", doctor_check_networkd },
	{ "NetworkManager", doctor_check_network_manager },
	{ "firewalld", doctor_check_firewalld },
	{ "ufw", doctor_check_ufw },
	{ "docker", doctor_check_docker },
	{ "agents", doctor_check_agents },
};

/* -- findings --------------------------------------------------------------------------------- */

const char *doctor_result_name(enum doctor_result result)
{
	static const char *const names[] = {
		[DOCTOR_OK] = "ok",
		[DOCTOR_NOTE] = "note",
		[DOCTOR_WARNING] = "warning",
		[DOCTOR_PROBLEM] = "problem",
	};

	return names[result];
}

enum doctor_result doctor_worst(const GArray *findings)
{
	enum doctor_result worst = DOCTOR_OK;

	for (guint i = 0; i < findings->len; i++)
		worst = MAX(worst, g_array_index(findings, struct doctor_finding, i).result);
	return worst;
}

/* Takes both texts. */
void doctor_say(struct doctor *d, enum doctor_result result, char *message, char *fix)
{
	struct doctor_finding finding = { d->check, result, message, fix };

	g_array_append_val(d->findings, finding);
}

void doctor_ok(struct doctor *d, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	doctor_say(d, DOCTOR_OK, g_strdup_vprintf(format, ap), NULL);
	va_end(ap);
}

static void finding_clear(void *data)
{
	struct doctor_finding *finding = data;

	g_free(finding->message);
	g_free(finding->fix);
}

/* -- files ------------------------------------------------------------------------------------ */

static void process_clear(void *data)
{
	g_free(((struct doctor_process *)data)->name);
}

static GArray *list_processes(const struct tree *tree)
{
	GArray *processes = g_array_new(FALSE, TRUE, sizeof(struct doctor_process));
	g_autoptr(GPtrArray) names = NULL;

	g_array_set_clear_func(processes, process_clear);
	if (tree_list(tree, "/proc", &names) < 0)
		return processes;
	for (guint i = 0; i < names->len; i++) {
		g_autofree char *path = g_build_filename("/proc", names->pdata[i], "comm", NULL);
		struct doctor_process process = { 0 };
		guint64 pid;

		if (!g_ascii_string_to_unsigned(names->pdata[i], 10, 1, G_MAXINT, &pid, NULL) ||
			tree_read(tree, path, &process.name) < 0)
			continue;
		process.pid = (unsigned)pid;
		g_array_append_val(processes, process);
	}
	return processes;
}

unsigned doctor_find_process(const struct doctor *d, const char *name)
{
	for (guint i = 0; i < d->processes->len; i++) {
		const struct doctor_process *p = &g_array_index(
			d->processes, struct doctor_process, i);

		if (!strcmp(p->name, name))
			return p->pid;
	}
	return 0;
}

int64_t doctor_int(const struct doctor *d, int64_t otherwise, const char *format, ...)
{
	g_autofree char *path = NULL;
	int64_t value;
	va_list ap;

	va_start(ap, format);
	path = g_strdup_vprintf(format, ap);
	va_end(ap);
	return tree_read_int(d->tree, path, &value) < 0 ? otherwise : value;
}

char *doctor_ini(const char *text, const char *section, const char *key)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	g_autofree char *head = g_strdup_printf("[%s]", section);
	char *value = NULL;
	bool inside = false;

	for (char **line = lines; *line; line++) {
		char *equals = strchr(g_strstrip(*line), '=');

		if (**line == '[')
			inside = !strcmp(*line, head);
		if (!inside || !equals || strchr("#;", **line))
			continue;
		*equals = '\0';
		if (strcmp(g_strchomp(*line), key))
			continue;
		g_free(value);
		value = g_strdup(g_strchug(equals + 1));
	}
	return value;
}

bool doctor_in_container(const struct doctor *d)
{
	return tree_exists(d->tree, "/run/systemd/container") ||
		tree_exists(d->tree, "/.dockerenv") || tree_exists(d->tree, "/run/.containerenv");
}

/* -- all of them ------------------------------------------------------------------------------ */

GArray *doctor_examine(const struct tree *tree, const struct doctor_facts *facts)
{
	struct doctor d = { .tree = tree, .facts = facts, .processes = list_processes(tree) };

	d.findings = g_array_new(FALSE, TRUE, sizeof(struct doctor_finding));
	g_array_set_clear_func(d.findings, finding_clear);
	for (size_t i = 0; i < G_N_ELEMENTS(checks); i++) {
		d.check = checks[i].name;
		checks[i].run(&d);
	}
	g_array_unref(d.processes);
	return d.findings;
}
