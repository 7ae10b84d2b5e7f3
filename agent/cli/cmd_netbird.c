/* agent/cli/cmd_netbird.c - import-netbird and export-netbird: the same peer with another agent. */
#include "agent/cli/cmd_netbird.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/file.h"
#include "agent/base/jread.h"
#include "agent/base/jwrite.h"
#include "agent/cli/client.h"
#include "agent/cli/cmd.h"
#include "agent/cli/output.h"
#include "agent/cli/secret.h"
#include "mgmt/profile.h"

/* -- import ----------------------------------------------------------------------------------- */

/* What that agent has used in the course of time, the newest first. */
static const char *const places[] = {
	"/var/lib/netbird/default.json",
	"/etc/netbird/config.json",
	"/etc/wiretrustee/config.json",
	NULL,
};

static enum exit_code cannot_read(struct failure *f, const char *path, int r)
{
	char message[512];

	file_explain(r, path, PROFILE_SIZE_MAX, message, sizeof(message));
	return failure_set(f, r == -EACCES ? EXIT_PERMISSION : EXIT_CONFIG,
		r == -EACCES ? "be root" : NULL, "%s", message);
}

enum exit_code netbird_find(const char *const *paths, const char **ret_path, char **ret,
	size_t *ret_len, struct failure *f)
{
	for (size_t i = 0; paths[i]; i++) {
		int r = file_read_secret(paths[i], PROFILE_SIZE_MAX, ret, ret_len);

		*ret_path = paths[i];
		if (r == 0)
			return EXIT_OK;
		if (r != -ENOENT)
			return cannot_read(f, paths[i], r);
	}
	return failure_set(
		f, EXIT_CONFIG, "lapwing import-netbird FILE", "%s: there is no profile", paths[0]);
}

static enum exit_code read_profile(const struct options *o, const char **ret_path, char **ret,
	size_t *ret_len, struct failure *f)
{
	const char *const given[] = { o->argument, NULL };
	int r;

	if (g_strcmp0(o->argument, "-"))
		return netbird_find(o->argument ? given : places, ret_path, ret, ret_len, f);
	*ret_path = "standard input";
	r = secret_read_fd(STDIN_FILENO, PROFILE_SIZE_MAX, ret, ret_len);
	return r < 0 ? cannot_read(f, *ret_path, r) : EXIT_OK;
}

/* Here and not only in the daemon, for the text is still as somebody wrote it, in lines. */
static enum exit_code check_profile(
	const char *path, const char *text, size_t len, struct failure *f)
{
	char error[PROFILE_ERROR_MAX];
	struct profile profile;

	if (profile_parse(text, len, &profile, error) < 0)
		return failure_set(f, EXIT_CONFIG, NULL, "%s: %s", path, error);
	profile_done(&profile);
	return EXIT_OK;
}

/* The request is one line: line ends, which stand between tokens only, become spaces. */
static GString *import_request(const struct options *o, char *text, size_t len)
{
	GString *request = client_request_sized("import", len + 64);

	for (size_t i = 0; i < len; i++)
		if (text[i] == '\n')
			text[i] = ' ';
	jwrite_bool(request, "force", o->force);
	jwrite_raw(request, "profile", text);
	return request;
}

static void print_lines(const char *title, const json_t *list)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *item = json_string_value(json_array_get(list, i));
		g_autofree char *text = text_safe(item ? item : "?");

		printf("%s%s\n", title, text);
	}
}

static void print_import(const json_t *root, const char *path)
{
	g_autofree char *taken = text_list(json_object_get(root, "imported"));

	printf("%s %s: %s\n", get_bool(root, "changed") ? "imported from" : "already as in", path,
		taken);
	print_lines("ignored: ", json_object_get(root, "ignored"));
}

enum exit_code cmd_import(const struct options *o)
{
	char *text = NULL;
	const char *path;
	enum exit_code code;
	struct failure f;
	json_t *root = NULL;
	size_t len = 0;

	code = read_profile(o, &path, &text, &len, &f);
	if (!code)
		code = check_profile(path, text, len, &f);
	if (code)
		failure_report(o, &f);
	else
		root = client_ask_document(o, import_request(o, text, len), &code);
	if (root && !o->json)
		print_import(root, path);
	json_decref(root);
	secret_free(text, len);
	return code;
}

/* -- export ----------------------------------------------------------------------------------- */

static void find_profile(struct jread *r, struct slice key, void *into)
{
	struct slice value, *ret = into;
	bool found = key.len == 7 && !memcmp(key.s, "profile", 7);

	value = jread_skip(r);
	if (found)
		*ret = value;
}

/* In the form in which that agent writes it. NULL: there is none in the answer. */
static GString *profile_text(const struct client_reply *reply)
{
	struct slice profile = { 0 };
	GString *out = NULL;
	struct jread r;

	jread_init(&r, reply->result, reply->result_len);
	jread_members(&r, SIZE_MAX, find_profile, &profile);
	if (!jread_finish(&r) && profile.len)
		out = profile_indent(profile.s, profile.len);
	explicit_bzero(r.scratch, sizeof(r.scratch));
	return out;
}

/* Of the profile that is replaced, what does not make the peer stays: import-netbird took only that. NULL: there is
 * none to be kept. */
static GString *keep_rest(const char *path, const GString *text)
{
	GString *compact = NULL, *whole = NULL;
	struct profile there, ours;
	char error[PROFILE_ERROR_MAX], *was;
	size_t len;

	if (file_read_secret(path, PROFILE_SIZE_MAX, &was, &len) < 0)
		return NULL;
	if (profile_parse(was, len, &there, error) == 0) {
		if (profile_parse(text->str, text->len, &ours, error) == 0) {
			profile_swap_peer(&there, &ours);
			compact = profile_format(&there);
			whole = profile_indent(compact->str, compact->len);
			profile_text_free(compact);
			profile_done(&ours);
		}
		profile_done(&there);
	}
	secret_free(was, len);
	return whole;
}

static enum exit_code write_file(const struct options *o, const GString *text)
{
	GString *whole = o->force ? keep_rest(o->argument, text) : NULL;
	const GString *chosen = whole ? whole : text;
	int r = secret_write(o->argument, chosen->str, chosen->len, o->force);
	GString *out;

	profile_text_free(whole);

	if (r == -EEXIST)
		return fail(o, EXIT_REFUSED, "--force replaces it", "%s: it is there", o->argument);
	if (r < 0)
		return fail(o, r == -EACCES ? EXIT_PERMISSION : EXIT_FAILED, NULL, "%s: %s",
			o->argument, g_strerror(-r));
	if (!o->json)
		return EXIT_OK;
	out = document_new("lapwing.export/1", NULL);
	jwrite_bool(out, "changed", true);
	jwrite_string(out, "file", o->argument);
	jwrite_null(out, "profile");
	document_print(out);
	return EXIT_OK;
}

static enum exit_code put_profile(const struct options *o, const struct client_reply *reply)
{
	GString *text = profile_text(reply);
	enum exit_code code = EXIT_OK;

	if (!text)
		return fail(o, EXIT_FAILED, "are lapwing and lapwingd of the same version?",
			"there is no profile in lapwingd's answer");
	if (o->argument && strcmp(o->argument, "-"))
		code = write_file(o, text);
	else if (o->json)
		printf("%.*s\n", (int)reply->result_len, reply->result);
	else
		fputs(text->str, stdout);
	profile_text_free(text);
	return code;
}

enum exit_code cmd_export(const struct options *o)
{
	g_autoptr(GString) request = client_request("export");
	struct client_reply reply = { 0 };
	enum exit_code code;
	struct failure f;

	code = client_ask(o, client_request_end(request), &reply, &f);
	if (code)
		failure_report(o, &f);
	else
		code = put_profile(o, &reply);
	client_reply_done(&reply);
	return code;
}
