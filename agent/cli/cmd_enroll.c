/* agent/cli/cmd_enroll.c - enroll and deregister: into the network of a management server, and out of it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/jwrite.h"
#include "agent/base/uuid.h"
#include "agent/cli/client.h"
#include "agent/cli/cmd.h"
#include "agent/cli/output.h"
#include "agent/cli/secret.h"

#define CREDENTIAL "lapwing.setup-key"

enum { KEY_FILE_MAX = 4096 };

/* -- the setup key ---------------------------------------------------------------------------- */

/* Never a word of what it was: it may be a key with a typing error. */
static enum exit_code parse_key(const char *text, size_t len, const char *from,
	char ret[static UUID_STRLEN], struct failure *f)
{
	secret_trim(&text, &len);
	if (uuid_parse(text, len, ret) == 0)
		return EXIT_OK;
	return failure_set(f, EXIT_SETUP_KEY,
		"it is a UUID, 36 characters, and nothing else may be there",
		"%s: there is no setup key in it", from);
}

/* NULL: standard input. */
static enum exit_code read_key(const char *path, char ret[static UUID_STRLEN], struct failure *f)
{
	enum exit_code code;
	const char *from;
	char *text;
	size_t len;

	code = secret_take(path, KEY_FILE_MAX, &text, &len, &from, f);
	if (code)
		return code;
	code = parse_key(text, len, from, ret, f);
	secret_free(text, len);
	return code;
}

/* From where the command line says, else from the service manager. */
static enum exit_code find_key(
	const struct options *o, char ret[static UUID_STRLEN], struct failure *f)
{
	const char *dir = g_getenv("CREDENTIALS_DIRECTORY");
	g_autofree char *path = dir ? g_build_filename(dir, CREDENTIAL, NULL) : NULL;

	if (o->setup_key_file && o->setup_key_stdin)
		return failure_set(f, EXIT_USAGE, NULL,
			"--setup-key-file and --setup-key-stdin exclude each other");
	if (o->setup_key_file || o->setup_key_stdin)
		return read_key(o->setup_key_file, ret, f);
	if (path && access(path, F_OK) == 0)
		return read_key(path, ret, f);
	return failure_set(f, EXIT_USAGE,
		"--setup-key-file=FILE, --setup-key-stdin, or the credential " CREDENTIAL,
		"there is no setup key");
}

/* -- enroll ----------------------------------------------------------------------------------- */

static GString *enroll_request(const struct options *o, const char *key)
{
	GString *request = client_request("enroll");

	jwrite_string(request, "url", o->management_url);
	jwrite_string(request, "setup_key", key);
	if (o->hostname)
		jwrite_string(request, "hostname", o->hostname);
	jwrite_bool(request, "force", o->force);
	jwrite_bool(request, "wait", o->wait);
	if (o->until)
		jwrite_string(request, "until", o->until);
	return request;
}

static void print_outcome(const json_t *root, const char *done, const char *already)
{
	g_autofree char *message = text_safe(get_text(root, "message"));
	g_autofree char *state = text_safe(get_text(root, "state"));

	/* The daemon may have more to say than that it is done. */
	printf("%s%s%s\n",
		*message                            ? message
			: get_bool(root, "changed") ? done
						    : already,
		*state ? ": " : "", state);
}

enum exit_code cmd_enroll(const struct options *o)
{
	struct options waiting = *o;
	char key[UUID_STRLEN];
	enum exit_code code;
	struct failure f;
	json_t *root;

	waiting.wait = true;
	if (!o->management_url)
		return fail(o, EXIT_USAGE, NULL, "enroll: --management-url is missing");
	code = find_key(o, key, &f);
	if (code)
		return failure_report(o, &f);
	root = client_ask_document(&waiting, enroll_request(o, key), &code);
	explicit_bzero(key, sizeof(key));
	if (root && !o->json)
		print_outcome(root, "enrolled", "already enrolled");
	if (root)
		code = get_code(root);
	json_decref(root);
	return code;
}

/* -- deregister ------------------------------------------------------------------------------- */

enum exit_code cmd_deregister(const struct options *o)
{
	GString *request = client_request("deregister");
	struct options waiting = *o;
	enum exit_code code;
	json_t *root;

	waiting.wait = true;
	jwrite_bool(request, "purge", o->purge);
	root = client_ask_document(&waiting, request, &code);
	if (root && !o->json)
		print_outcome(root, o->purge ? "left, the key is deleted" : "left",
			"not enrolled, nothing to leave");
	json_decref(root);
	return code;
}
