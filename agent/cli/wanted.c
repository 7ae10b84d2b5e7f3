/* agent/cli/wanted.c - what the two files of this host are to be: one document, taken apart and checked. */
#include "agent/cli/wanted.h"

#include <errno.h>
#include <glib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/file.h"
#include "agent/base/jread.h"
#include "agent/cli/keyfile.h"
#include "mgmt/meshfile.h"
#include "mgmt/netmap.h"

#define SEE "see lapwing.json(5)"

/* -- the mesh --------------------------------------------------------------------------------- */

enum exit_code wanted_unreadable(struct failure *f, int r, const char *error)
{
	bool permission = r == -EACCES;

	return failure_set(f, permission ? EXIT_PERMISSION : EXIT_CONFIG,
		permission ? "be root" : SEE, "%s", error);
}

/* Our own public key where we may know it: then the mesh has to have a host with it. */
static enum exit_code own_key(
	const struct config *config, bool *ret_known, struct wg_key *ret, struct failure *f)
{
	const char *path = config->private_key_file ? config->private_key_file : KEYFILE_DEFAULT;
	_auto_wipe_ struct wg_key key = { 0 };
	int r = keyfile_read(path, &key);

	*ret_known = r == 0;
	if (r == 0)
		key_public_from_private(&key, ret);
	/* Who is not root may lack the rights that the daemon has. */
	if (r == 0 || r == -ENOENT || r == -EACCES || geteuid() != 0)
		return EXIT_OK;
	return failure_set(f, EXIT_CONFIG, SEE, "%s: %s", path,
		r == -EINVAL ? "there is no key in it" : file_strerror(r));
}

enum exit_code wanted_mesh_text(const struct config *config, const char *from, const char *text,
	size_t len, struct netmap **ret, struct failure *f)
{
	char error[MESHFILE_ERROR_MAX];
	struct wg_key own;
	bool known;
	enum exit_code code = own_key(config, &known, &own, f);

	if (code)
		return code;
	if (meshfile_parse(text, len, known ? &own : NULL, config->policy.max_peers, ret, error) <
		0)
		return failure_set(f, EXIT_CONFIG, SEE, "%s: %s", from, error);
	return EXIT_OK;
}

enum exit_code wanted_mesh(const struct config *config, struct netmap **ret, struct failure *f)
{
	char error[MESHFILE_ERROR_MAX];
	g_autofree char *text = NULL;
	size_t len;
	int r = file_read(config->mesh_file, MESHFILE_SIZE_MAX, &text, &len);

	if (r < 0) {
		file_explain(r, config->mesh_file, MESHFILE_SIZE_MAX, error, sizeof(error));
		return wanted_unreadable(f, r, error);
	}
	return wanted_mesh_text(config, config->mesh_file, text, len, ret, f);
}

/* -- the document ----------------------------------------------------------------------------- */

/* Where the member "mesh" is: its key and its value. */
struct member {
	const char *key;
	struct slice value;
	unsigned n;
};

static void find_mesh(struct jread *r, struct slice key, void *into)
{
	struct member *m = into;
	/* One that is written with escapes lies elsewhere, and is none that lapwing.json has. */
	bool found = key.len == 4 && !memcmp(key.s, "mesh", 4) && key.s > r->text && key.s < r->end;
	struct slice value;

	if (found && jread_peek(r) != '{')
		return jread_fail(r, "an object is wanted: the content of the mesh file");
	value = jread_skip(r);
	if (!found)
		return;
	if (m->n++)
		jread_fail(r, "\"mesh\" is there twice");
	m->key = key.s - 1;
	m->value = value;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* Takes the member out, with the comma that parted it from its neighbour; lines stay where they are. */
static void blank_member(char *text, const struct member *m, const char *begin)
{
	char *from = text + (m->key - begin), *to = text + (m->value.s - begin) + m->value.len;
	char *after = to, *before = from - 1;

	while (is_space(*after))
		after++;
	while (before > text && is_space(*before))
		before--;
	if (*after == ',')
		*after = ' ';
	else if (*before == ',')
		*before = ' ';
	for (char *c = from; c < to; c++)
		if (*c != '\n')
			*c = ' ';
}

/* As it stands there, behind as many line ends as are before it, so that errors name the right line. */
static char *mesh_with_lines(const char *text, const struct slice *mesh, size_t *ret_len)
{
	GString *out = g_string_new(NULL);

	for (const char *c = text; c < mesh->s; c++)
		if (*c == '\n')
			g_string_append_c(out, '\n');
	g_string_append_len(out, mesh->s, (gssize)mesh->len);
	*ret_len = out->len;
	return g_string_free(out, FALSE);
}

/* Written anew, as a piece was taken out; it names the mesh file, if only by its default. */
static void format_config(struct wanted *w, const char *blanked, size_t len)
{
	json_t *root = json_loadb(blanked, len, JSON_REJECT_DUPLICATES, NULL);
	char *text;

	if (!w->config.mesh_file) {
		w->config.mesh_file = g_strdup(MESH_DEFAULT);
		json_object_set_new(root, "mesh_file", json_string(MESH_DEFAULT));
	}
	text = json_dumps(root, JSON_INDENT(2));
	json_decref(root);
	w->config_text = g_strconcat(text, "\n", NULL);
	w->config_len = strlen(w->config_text);
	free(text);
}

/* What belongs to hosts that are told of by a server. */
static const char *excludes_mesh(const struct config *config)
{
	if (config->management.given)
		return "management";
	if (config->hosts)
		return "endpoints";
	if (config->metrics.given)
		return "metrics";
	return config->ice.external_ips || config->ice.interfaces_exclude ? "ice" : NULL;
}

static enum exit_code take_mesh(struct wanted *w, const char *from, const char *text,
	const struct slice *mesh, struct failure *f)
{
	const char *excluded = excludes_mesh(&w->config);
	g_autofree char *lines = NULL;
	size_t len;

	if (excluded)
		return failure_set(f, EXIT_CONFIG, SEE,
			"%s: \"mesh\" and \"%s\" exclude each other", from, excluded);
	if (mesh->len + 1 > MESHFILE_SIZE_MAX)
		return failure_set(f, EXIT_CONFIG, SEE, "%s: the mesh is larger than %d MiB", from,
			MESHFILE_SIZE_MAX / 1024 / 1024);
	lines = mesh_with_lines(text, mesh, &len);
	w->mesh_len = mesh->len + 1;
	w->mesh_text = g_strdup_printf("%.*s\n", (int)mesh->len, mesh->s);
	return wanted_mesh_text(&w->config, from, lines, len, &w->map, f);
}

static enum exit_code read_parts(
	const char *from, const char *text, size_t len, struct wanted *w, struct failure *f)
{
	char error[CONFIG_ERROR_MAX];
	g_autofree char *blanked = g_strndup(text, len);
	struct member mesh = { 0 };
	struct jread r;

	jread_init(&r, text, len);
	jread_members(&r, SIZE_MAX, find_mesh, &mesh);
	if (jread_finish(&r))
		return failure_set(f, EXIT_CONFIG, SEE, "%s: %s", from, r.message);
	if (mesh.n)
		blank_member(blanked, &mesh, text);
	if (config_parse(blanked, len, &w->config, error) < 0)
		return failure_set(f, EXIT_CONFIG, SEE, "%s: %s", from, error);
	if (mesh.n) {
		format_config(w, blanked, len);
	} else {
		w->config_text = g_steal_pointer(&blanked);
		w->config_len = len;
	}
	if (w->config_len > CONFIG_SIZE_MAX)
		return failure_set(f, EXIT_CONFIG, SEE,
			"%s: without \"mesh\" it is larger than %d KiB", from,
			CONFIG_SIZE_MAX / 1024);
	if (mesh.n)
		return take_mesh(w, from, text, &mesh.value, f);
	return w->config.mesh_file ? wanted_mesh(&w->config, &w->map, f) : EXIT_OK;
}

enum exit_code wanted_read(
	const char *from, const char *text, size_t len, struct wanted *ret, struct failure *f)
{
	enum exit_code code;

	*ret = (struct wanted){ 0 };
	code = read_parts(from, text, len, ret, f);
	if (code)
		wanted_done(ret);
	return code;
}

void wanted_done(struct wanted *w)
{
	config_done(&w->config);
	netmap_free(w->map);
	g_free(w->config_text);
	g_free(w->mesh_text);
	*w = (struct wanted){ 0 };
}
