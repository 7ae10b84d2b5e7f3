/* agent/cli/apply_show.c - what plan and apply found and did, for people and programs. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/jwrite.h"
#include "agent/cli/apply.h"

bool apply_changes(const struct apply *a)
{
	return a->config_action || a->mesh_action || a->reload;
}

const char *apply_state(const struct apply *a)
{
	if (a->reply)
		return get_text(a->reply, "state");
	return a->status ? get_text(a->status, "state") : "not_running";
}

static const char *action_name(enum apply_action action)
{
	static const char *const names[] = {
		[APPLY_NONE] = "none",
		[APPLY_CREATE] = "create",
		[APPLY_REPLACE] = "replace",
	};

	return names[action];
}

/* -- settings that differ --------------------------------------------------------------------- */

/* `before` and `after` are JSON text, NULL where there is none. */
typedef void (*setting_fn)(const char *key, const char *before, const char *after, void *user);

static void tell(const char *key, const json_t *a, const json_t *b, setting_fn fn, void *user)
{
	char *before = a ? json_dumps(a, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
	char *after = b ? json_dumps(b, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;

	fn(key, before, after, user);
	free(before);
	free(after);
}

/* "policy.max_peers": objects are walked into, all else is told as a whole. */
static void compare(const char *path, const json_t *a, const json_t *b, setting_fn fn, void *user)
{
	const json_t *objects[] = { a, b };

	if (json_equal(a, b))
		return;
	if ((a && !json_is_object(a)) || (b && !json_is_object(b)))
		return tell(path, a, b, fn, user);
	for (size_t i = 0; i < G_N_ELEMENTS(objects); i++) {
		json_t *object = (json_t *)objects[i];

		for (void *at = json_object_iter(object); at;
			at = json_object_iter_next(object, at)) {
			const char *key = json_object_iter_key(at);
			g_autofree char *inner = g_strdup_printf(
				"%s%s%s", path, *path ? "." : "", key);
			const json_t *other = json_object_get(b, key);

			if (i == 0)
				compare(inner, json_object_iter_value(at), other, fn, user);
			else if (!json_object_get(a, key))
				compare(inner, NULL, other, fn, user);
		}
	}
}

static void each_setting(const struct apply *a, setting_fn fn, void *user)
{
	json_t *wanted = json_loadb(a->wanted.config_text, a->wanted.config_len, 0, NULL);

	compare("", a->config, wanted, fn, user);
	json_decref(wanted);
}

/* -- for programs ----------------------------------------------------------------------------- */

static void write_item(
	const struct apply *a, GString *out, const char *id, const char *file, const char *action)
{
	bool none = !strcmp(action, "none");

	jwrite_open(out, NULL, '{');
	jwrite_string(out, "id", id);
	jwrite_string(out, "file", file);
	jwrite_string(out, "action", action);
	jwrite_string(out, "result", none ? "unchanged" : a->dry_run ? "planned" : "done");
	jwrite_close(out, '}');
}

static void write_setting(const char *key, const char *before, const char *after, void *user)
{
	GString *out = user;

	jwrite_open(out, NULL, '{');
	jwrite_string(out, "key", key);
	jwrite_raw(out, "before", before ? before : "null");
	jwrite_raw(out, "after", after ? after : "null");
	jwrite_close(out, '}');
}

/* Of a daemon that has taken it, what that says. */
static json_t *difference(const struct apply *a)
{
	json_t *said = json_object_get(a->reply, "mesh_difference");

	return said ? said : json_object_get(a->difference, "mesh_difference");
}

static void print_document(const struct apply *a)
{
	GString *out = document_new("lapwing.apply/1", apply_state(a));
	const json_t *told = a->reply ? a->reply : a->status;
	char *text = json_dumps(difference(a), JSON_COMPACT);

	jwrite_string(out, "reason", get_is_null(told, "reason") ? NULL : get_text(told, "reason"));
	jwrite_bool(out, "changed", apply_changes(a));
	jwrite_bool(out, "check", a->dry_run);
	jwrite_open(out, "items", '[');
	write_item(a, out, "config", a->config_path, action_name(a->config_action));
	write_item(a, out, "mesh", a->wanted.config.mesh_file, action_name(a->mesh_action));
	write_item(a, out, "daemon", NULL, a->reload ? "reload" : "none");
	jwrite_close(out, ']');
	if (a->diff) {
		jwrite_open(out, "settings", '[');
		each_setting(a, write_setting, out);
		jwrite_close(out, ']');
	}
	jwrite_raw(out, "mesh_difference", text ? text : "null");
	free(text);
	document_print(out);
}

/* -- for people ------------------------------------------------------------------------------- */

static void print_file(const struct apply *a, const char *path, enum apply_action action)
{
	static const char *const done[] = { "is as it should be", "was made", "was replaced" };
	static const char *const planned[] = { "is as it should be", "would be made",
		"would be replaced" };

	printf("%s %s\n", path, (a->dry_run ? planned : done)[action]);
}

static void print_setting(const char *key, const char *before, const char *after, void *user)
{
	g_autofree char *k = text_safe(key), *b = text_safe(before ? before : "not set");
	g_autofree char *c = text_safe(after ? after : "not set");

	printf("  %s: %s -> %s\n", k, b, c);
}

static void print_hosts(const json_t *differ)
{
	const json_t *hosts = json_object_get(differ, "hosts"), *host;
	size_t i;

	json_array_foreach(hosts, i, host)
	{
		g_autofree char *name = text_safe(get_text(host, "name"));
		g_autofree char *parts = text_list(json_object_get(host, "parts"));
		const char *change = get_text(host, "change");
		char sign = *change == 'a' ? '+' : *change == 'r' ? '-' : '~';

		printf("  %c %s%s%s\n", sign, name, *parts ? ": " : "", parts);
	}
	if (get_int(differ, "left_out"))
		printf("  and %" PRId64 " more\n", get_int(differ, "left_out"));
}

static void print_mesh(const struct apply *a)
{
	const json_t *differ = difference(a);
	g_autofree char *parts = text_list(json_object_get(differ, "mesh"));

	if (!differ || !apply_changes(a))
		return;
	printf("hosts: %" PRId64 " added, %" PRId64 " removed, %" PRId64 " changed%s%s\n",
		get_int(differ, "added"), get_int(differ, "removed"), get_int(differ, "changed"),
		*parts ? "; of the mesh itself: " : "", parts);
	if (a->diff)
		print_hosts(differ);
}

static void print_daemon(const struct apply *a)
{
	const char *reason = get_text(a->reply ? a->reply : a->status, "reason");
	g_autofree char *text = text_safe(reason);

	if (!a->status)
		puts("lapwingd does not run; it reads both when it starts");
	else
		printf("lapwingd%s: %s%s%s\n",
			!a->reload           ? ""
				: a->dry_run ? " would read both again"
					     : " has read both again",
			apply_state(a), *text ? ": " : "", text);
}

void apply_show(const struct apply *a)
{
	if (a->o->json)
		return print_document(a);
	print_file(a, a->config_path, a->config_action);
	if (a->diff)
		each_setting(a, print_setting, NULL);
	if (a->wanted.config.mesh_file)
		print_file(a, a->wanted.config.mesh_file, a->mesh_action);
	print_mesh(a);
	print_daemon(a);
}
