/* agent/sessions.c - ICE sessions of connected peers on disk. */
#include "agent/sessions.h"

#include <assert.h>
#include <errno.h>
#include <glib.h>
#include <string.h>
#include <unistd.h>

#include "agent/nego/nego.h"
#include "agent/state_records.h"

struct record {
	struct wg_key key;
	char ufrag[NEGO_UFRAG_LEN], pwd[NEGO_PWD_LEN]; /* not terminated */
	struct state_endpoint at; /* its `more`: candidate types, the local one in the low half */
};
static_assert(sizeof(struct record) == 96, "the file's form has no gaps");

static const struct state_records kind = { "lwsess", 1, sizeof(struct record) };

static char *path_in(const char *state_dir)
{
	return g_build_filename(state_dir, "sessions", NULL);
}

static void encode(const struct nego_session *from, struct record *ret)
{
	ret->key = from->key;
	memcpy(ret->ufrag, from->ufrag, sizeof(ret->ufrag));
	memcpy(ret->pwd, from->pwd, sizeof(ret->pwd));
	state_endpoint_encode(&from->path.at, &ret->at);
	ret->at.more = (uint8_t)(from->path.local | from->path.remote << 4);
}

static bool is_text(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!g_ascii_isalnum(text[i]))
			return false;
	return true;
}

/* False: no version of ours wrote this. `ret` is all zeros before. */
static bool decode(const struct record *from, struct nego_session *ret)
{
	unsigned local = from->at.more & 15, remote = from->at.more >> 4;

	if (local > CANDIDATE_RELAY || remote > CANDIDATE_RELAY ||
		!is_text(from->ufrag, sizeof(from->ufrag)) ||
		!is_text(from->pwd, sizeof(from->pwd)) ||
		!state_endpoint_decode(&from->at, &ret->path.at))
		return false;
	ret->key = from->key;
	memcpy(ret->ufrag, from->ufrag, sizeof(from->ufrag));
	memcpy(ret->pwd, from->pwd, sizeof(from->pwd));
	ret->path.local = local;
	ret->path.remote = remote;
	return true;
}

int sessions_load(const char *state_dir, struct nego_session **ret, size_t *ret_n)
{
	g_autofree char *path = path_in(state_dir);
	g_autofree struct record *records = NULL;
	struct nego_session *sessions;
	size_t n, good = 0;
	int r = state_records_load(path, &kind, (uint8_t **)&records, &n);

	*ret = NULL;
	*ret_n = 0;
	if (r < 0)
		return r;
	sessions = g_new0(struct nego_session, n);
	while (good < n && decode(&records[good], &sessions[good]))
		good++;
	if (n)
		explicit_bzero(records, n * sizeof(*records));
	if (good < n) {
		state_move_aside(path, "a record that makes no sense");
		sessions_wipe(sessions, n);
		return 0;
	}
	*ret = sessions;
	*ret_n = n;
	return 0;
}

int sessions_save(const char *state_dir, const struct nego_session *sessions, size_t n)
{
	g_autofree char *path = path_in(state_dir);
	g_autofree struct record *records = g_new(struct record, n);
	int r;

	for (size_t i = 0; i < n; i++)
		encode(&sessions[i], &records[i]);
	r = state_records_save(path, &kind, records, n);
	if (n)
		explicit_bzero(records, n * sizeof(*records));
	return r;
}

void sessions_remove(const char *state_dir)
{
	g_autofree char *path = path_in(state_dir);

	unlink(path);
}

void sessions_wipe(struct nego_session *sessions, size_t n)
{
	if (n)
		explicit_bzero(sessions, n * sizeof(*sessions));
	g_free(sessions);
}
