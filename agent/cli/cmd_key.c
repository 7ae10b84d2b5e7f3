/* agent/cli/cmd_key.c - genkey and pubkey. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/file.h"
#include "agent/base/jwrite.h"
#include "agent/base/key.h"
#include "agent/cli/cmd.h"
#include "agent/cli/keyfile.h"
#include "agent/cli/output.h"

static void print_key(const struct options *o, const char *path, const struct wg_key *private_key,
	const char *state)
{
	struct wg_key public_key;
	char text[KEY_STRLEN];
	GString *out;

	key_public_from_private(private_key, &public_key);
	key_format(&public_key, text);
	if (!o->json) {
		puts(text);
		return;
	}
	out = document_new("lapwing.key/1", state);
	jwrite_bool(out, "changed", state != NULL);
	jwrite_string(out, "file", path);
	jwrite_string(out, "public_key", text);
	document_print(out);
}

static enum exit_code cannot_write(const struct options *o, const char *path, int r)
{
	if (r == -EEXIST)
		return fail(o, EXIT_REFUSED,
			"--force replaces it; the other hosts then need the new public key",
			"%s exists", path);
	if (r == -EACCES || r == -EPERM)
		return fail(o, EXIT_PERMISSION, "be root", "%s: %s", path, g_strerror(-r));
	return fail(o, EXIT_FAILED, NULL, "%s: %s", path, g_strerror(-r));
}

enum exit_code cmd_genkey(const struct options *o)
{
	const char *path = o->argument ? o->argument : KEYFILE_DEFAULT;
	_auto_wipe_ struct wg_key key;
	int r;

	key_generate_private(&key);
	r = keyfile_write(path, &key, o->force);
	if (r < 0)
		return cannot_write(o, path, r);
	print_key(o, path, &key, "created");
	return EXIT_OK;
}

enum exit_code cmd_pubkey(const struct options *o)
{
	const char *path = o->argument ? o->argument : KEYFILE_DEFAULT;
	_auto_wipe_ struct wg_key key = { 0 };
	int r = keyfile_read(path, &key);

	switch (r) {
	case 0:
		print_key(o, path, &key, NULL);
		return EXIT_OK;
	case -ENOENT:
		return fail(
			o, EXIT_CONFIG, "lapwing genkey makes one", "%s: there is no key", path);
	case -EACCES:
		return fail(o, EXIT_PERMISSION, "be root", "%s: %s", path, g_strerror(-r));
	case -EINVAL:
		return fail(o, EXIT_CONFIG, NULL, "%s: there is no WireGuard key in it", path);
	default:
		return fail(o, EXIT_CONFIG, NULL, "%s: %s", path, file_strerror(r));
	}
}
