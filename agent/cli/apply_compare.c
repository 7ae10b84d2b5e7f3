/* agent/cli/apply_compare.c - compares what is wanted with what is there. */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "agent/base/file.h"
#include "agent/cli/apply.h"
#include "mgmt/mapdiff.h"
#include "mgmt/meshfile.h"
#include "mgmt/netmap.h"

/* EXIT_OK and NULL: there is none. */
static enum exit_code read_old(
	const char *path, size_t limit, char **ret, size_t *ret_len, struct failure *f)
{
	char error[512];
	int r = file_read(path, limit, ret, ret_len);

	if (r == 0 || r == -ENOENT)
		return EXIT_OK;
	file_explain(r, path, limit, error, sizeof(error));
	return failure_set(f, r == -EACCES ? EXIT_PERMISSION : EXIT_FAILED,
		r == -EACCES ? "be root" : NULL, "%s", error);
}

/* Written in another way it is still the same. */
static bool same_config(const struct apply *a, const char *old, size_t len)
{
	const struct wanted *w = &a->wanted;
	json_t *wanted;
	bool same;

	if (len == w->config_len && !memcmp(old, w->config_text, len))
		return true;
	wanted = json_loadb(w->config_text, w->config_len, 0, NULL);
	same = a->config && json_equal(a->config, wanted);
	json_decref(wanted);
	return same;
}

static enum exit_code compare_config(struct apply *a, struct failure *f)
{
	const json_t *running = json_object_get(a->status, "config");
	char digest[CONFIG_DIGEST_LEN + 1];
	g_autofree char *old = NULL;
	size_t len;
	enum exit_code code = read_old(a->config_path, CONFIG_SIZE_MAX, &old, &len, f);

	if (code)
		return code;
	if (!old) {
		a->config_action = APPLY_CREATE;
		return EXIT_OK;
	}
	a->config = json_loadb(old, len, JSON_REJECT_DUPLICATES, NULL);
	if (!same_config(a, old, len))
		a->config_action = APPLY_REPLACE;
	/* Somebody has edited it, and the daemon was not told. */
	config_digest(old, len, digest);
	a->reload |= json_is_object(running) && strcmp(get_text(running, "digest"), digest) != 0;
	return EXIT_OK;
}

/* The mesh that is there, where its file is there and valid. */
static enum exit_code load_mesh(
	const struct config *config, const char *path, struct netmap **ret, struct failure *f)
{
	g_autofree char *text = NULL;
	struct failure ignored;
	size_t len;
	enum exit_code code = read_old(path, MESHFILE_SIZE_MAX, &text, &len, f);

	if (!code && text)
		wanted_mesh_text(config, path, text, len, ret, &ignored);
	return code;
}

static enum exit_code compare_mesh(struct apply *a, struct failure *f)
{
	const struct wanted *w = &a->wanted;
	struct netmap *there = NULL;
	enum exit_code code;

	if (!w->mesh_text)
		return EXIT_OK;
	code = load_mesh(&w->config, w->config.mesh_file, &there, f);
	if (code)
		return code;
	if (!there)
		a->mesh_action = g_file_test(w->config.mesh_file, G_FILE_TEST_EXISTS)
			? APPLY_REPLACE
			: APPLY_CREATE;
	else if (!netmap_is_same(there, w->map))
		a->mesh_action = APPLY_REPLACE;
	netmap_free(there);
	return EXIT_OK;
}

/* The mesh of the configuration that is there: what this host is in till now. */
static enum exit_code load_present(struct apply *a, struct failure *f)
{
	const char *path = get_text(a->config, "mesh_file");

	return *path ? load_mesh(&a->wanted.config, path, &a->map, f) : EXIT_OK;
}

static void make_difference(struct apply *a)
{
	g_autoptr(GString) text = g_string_new("{");
	struct mapdiff diff;

	if (!a->wanted.map)
		return;
	mapdiff_make(&diff, a->map, a->wanted.map);
	mapdiff_write(&diff, text, MAPDIFF_NAMED_MAX);
	mapdiff_done(&diff);
	g_string_append_c(text, '}');
	a->difference = json_loads(text->str, 0, NULL);
}

/* What is too much to be done by the way. */
static enum exit_code check_domain(const struct apply *a, struct failure *f)
{
	const json_t *control = json_object_get(a->status, "control");
	const json_t *mesh = json_object_get(a->status, "mesh");
	const struct wanted *w = &a->wanted;

	if (json_is_object(control) && w->config.mesh_file)
		return failure_set(f, EXIT_REFUSED, "lapwing deregister leaves it",
			"this host has joined the network of %s, and %s has a mesh file",
			get_text(json_object_get(control, "management"), "url"), a->from);
	if (*get_text(mesh, "file") && !w->config.mesh_file && strcmp(apply_state(a), "down"))
		return failure_set(f, EXIT_REFUSED, "lapwing down removes it",
			"this host is in the mesh %s, and %s has none", get_text(mesh, "name"),
			a->from);
	if (a->map && w->map && strcmp(a->map->mesh, w->map->mesh) && !a->o->force)
		return failure_set(f, EXIT_REFUSED, "--force moves it",
			"this host is in the mesh %s, and %s is of the mesh %s", a->map->mesh,
			a->from, w->map->mesh);
	return EXIT_OK;
}

enum exit_code apply_compare(struct apply *a, struct failure *f)
{
	enum exit_code code;

	if ((code = compare_config(a, f)) || (code = compare_mesh(a, f)) ||
		(code = load_present(a, f)) || (code = check_domain(a, f)))
		return code;
	make_difference(a);
	a->reload |= a->config_action || a->mesh_action ||
		*get_text(json_object_get(a->status, "mesh"), "error");
	a->reload = a->reload && a->status;
	return EXIT_OK;
}
