/* agent/cli/cmd_debug.c - debug runtime: what the daemon itself costs. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/cli/client.h"
#include "agent/cli/cmd.h"
#include "agent/cli/table.h"

static void print_memory(const json_t *memory)
{
	static const struct {
		const char *key, *words;
	} rows[] = {
		{ "rss_bytes", "resident" },
		{ "rss_anonymous_bytes", "its own of that" },
		{ "rss_peak_bytes", "at most so far" },
		{ "data_bytes", "data segment" },
		{ "virtual_bytes", "address space" },
	};
	const json_t *heap = json_object_get(memory, "heap");
	g_autofree char *used = text_bytes(get_int(heap, "used_bytes"));
	g_autofree char *free_text = text_bytes(get_int(heap, "free_bytes"));

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *bytes = text_bytes(get_int(memory, rows[i].key));

		printf("%-16s %s\n", rows[i].words, get_is_null(memory, rows[i].key) ? "?" : bytes);
	}
	printf("%-16s %s used, %s free\n", "heap", used, free_text);
}

static void print_loop(const json_t *document)
{
	const json_t *loop = json_object_get(document, "loop");
	const json_t *process = json_object_get(document, "process");
	int64_t uptime = get_int(document, "uptime_seconds"), wakeups = get_int(loop, "wakeups");

	printf("%-16s %.3f s user, %.3f s system\n", "CPU",
		(double)get_int(process, "cpu_user_us") / 1e6,
		(double)get_int(process, "cpu_system_us") / 1e6);
	printf("%-16s %" PRId64 " of %" PRId64 "\n", "descriptors", get_int(process, "descriptors"),
		get_int(process, "descriptors_limit"));
	printf("%-16s %" PRId64 ", %.1f a minute\n", "wakeups", wakeups,
		60 * (double)wakeups / (double)MAX(uptime, 1));
	printf("%-16s %" PRId64 ", the longest took %.1f ms\n", "turns", get_int(loop, "turns"),
		(double)get_int(loop, "longest_turn_us") / 1e3);
}

static void print_pools(const json_t *pools)
{
	static const char *const headers[] = { "POOL", ">COUNT", ">LIMIT", NULL };
	struct table *table = table_new(headers);
	const json_t *pool;
	size_t i;

	json_array_foreach(pools, i, pool)
	{
		table_add(table, get_text(pool, "name"));
		table_take(table, g_strdup_printf("%" PRId64, get_int(pool, "count")));
		if (get_is_null(pool, "limit"))
			table_add(table, "");
		else
			table_take(table, g_strdup_printf("%" PRId64, get_int(pool, "limit")));
	}
	table_print(table, stdout);
	table_free(table);
}

enum exit_code cmd_debug(const struct options *o)
{
	enum exit_code code;
	json_t *document;

	if (strcmp(o->argument, "runtime"))
		return fail(o, EXIT_USAGE, "lapwing debug runtime", "no debug command '%s'",
			o->argument);
	document = client_ask_document(o, client_request("runtime"), &code);
	if (!document)
		return code;
	if (!o->json) {
		print_memory(json_object_get(document, "memory"));
		print_loop(document);
		putchar('\n');
		print_pools(json_object_get(document, "pools"));
	}
	json_decref(document);
	return code;
}
