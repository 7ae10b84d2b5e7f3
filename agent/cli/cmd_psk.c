/* agent/cli/cmd_psk.c - psk: gives a peer a pre-shared key on this host, or takes that back. */
#include <stdio.h>
#include <string.h>

#include "agent/base/jwrite.h"
#include "agent/base/key.h"
#include "agent/cli/client.h"
#include "agent/cli/cmd.h"
#include "agent/cli/output.h"
#include "agent/cli/secret.h"

enum { KEY_FILE_MAX = 4096 };

/* Never a word of what it was: it may be a key with a typing error. */
static enum exit_code read_key(const char *path, struct wg_key *ret, struct failure *f)
{
	enum exit_code code;
	const char *from, *word;
	char *text;
	size_t len, word_len;

	code = secret_take(strcmp(path, "-") ? path : NULL, KEY_FILE_MAX, &text, &len, &from, f);
	if (code)
		return code;
	word = text;
	word_len = len;
	secret_trim(&word, &word_len);
	if (key_parse(word, word_len, ret) < 0)
		code = failure_set(f, EXIT_CONFIG, "wg genpsk makes one",
			"%s: there is no pre-shared key in it", from);
	else if (key_is_zero(ret))
		code = failure_set(
			f, EXIT_CONFIG, "wg genpsk makes one", "%s: a key of zeros is none", from);
	secret_free(text, len);
	return code;
}

static void print_change(const json_t *root, const char *set)
{
	const json_t *peer = json_array_get(json_object_get(root, "peers"), 0);
	g_autofree char *name = text_safe(get_text(peer, "name"));
	const char *psk = get_text(peer, "psk");
	bool changed = get_bool(root, "changed");

	if (set)
		printf("%s: pre-shared key %sset\n", name, changed ? "" : "was already ");
	else
		printf("%s: %s%s\n", name, changed ? "cleared" : "no key was given",
			!strcmp(psk, "outside")        ? "; that of somebody else stays"
				: !strcmp(psk, "mesh") ? "; that of the mesh holds"
						       : "");
}

static enum exit_code ask(const struct options *o, GString *request, const char *set)
{
	enum exit_code code;
	json_t *root;

	jwrite_string(request, "peer", o->object);
	root = client_ask_document(o, request, &code);
	if (root && !o->json)
		print_change(root, set);
	json_decref(root);
	return code;
}

static enum exit_code set(const struct options *o)
{
	GString *request;
	struct wg_key key = { 0 };
	char text[KEY_STRLEN];
	struct failure f;

	if (!o->file)
		return fail(o, EXIT_USAGE, "--file=FILE, or - for standard input",
			"psk set: --file is missing");
	if (read_key(o->file, &key, &f)) {
		key_wipe(&key);
		return failure_report(o, &f);
	}
	request = client_request("set-psk");
	jwrite_string(request, "psk", key_format(&key, text));
	key_wipe(&key);
	explicit_bzero(text, sizeof(text));
	return ask(o, request, "set");
}

enum exit_code cmd_psk(const struct options *o)
{
	if (!strcmp(o->argument, "set"))
		return set(o);
	if (strcmp(o->argument, "clear"))
		return fail(
			o, EXIT_USAGE, NULL, "psk: set or clear is wanted, not '%s'", o->argument);
	if (o->file)
		return fail(o, EXIT_USAGE, NULL, "psk clear does not know --file");
	return ask(o, client_request("clear-psk"), NULL);
}
