/* mgmt/session.c - what to do at a management server, and when. */
#include "mgmt/session.h"

#include <glib.h>
#include <string.h>

#include "agent/rpc/pace.h"

enum stage { IDLE, KEY, CALL, WAIT };

struct line {
	enum stage stage;
	enum verdict_call call; /* the step that runs, or the one after waiting */
	uint32_t id;
	int64_t at_ms; /* WAIT: until; else since when */
};

struct session {
	struct line lines[SESSION_LINES];
	struct pace paces[SESSION_LINES]; /* of streams and SyncMeta */
	struct pace login, enrol;
	uint32_t last_id;
	uint64_t random;
	bool enrolling, has_key; /* the key was not used up yet */
	bool connected; /* the Sync stream gave a message */
	int64_t connected_ms, began_ms; /* began: the last attempt of the main line */
	int64_t enrol_until_ms;
	char **files;
	struct session_view view;
	GArray *actions; /* struct session_action */
	guint taken;
};

/* -- small things --------------------------------------------------------------------------- */

static struct session_action *act(struct session *s, enum session_act what)
{
	struct session_action action = { .act = what };

	g_array_append_val(s->actions, action);
	return &g_array_index(s->actions, struct session_action, s->actions->len - 1);
}

static void act_on(struct session *s, enum session_act what, enum session_line n)
{
	struct session_action *action = act(s, what);

	action->line = n;
	action->call = s->lines[n].call;
	action->id = s->lines[n].id;
}

static void conclude(
	struct session *s, enum session_act what, enum mgmt_failure failure, const char *why)
{
	struct session_action *action = act(s, what);

	action->failure = failure;
	g_strlcpy(action->error, why, sizeof(action->error));
}

/* Trying and waiting for the next try are one: what matters is since when the server is away. */
static bool is_away(enum mgmt_state state)
{
	return state == MGMT_CONNECTING || state == MGMT_WAITING;
}

static void report(struct session *s, enum mgmt_state state, enum mgmt_failure failure,
	const char *why, int64_t now_ms)
{
	struct session_view *view = &s->view;

	if (view->state != state && !(is_away(view->state) && is_away(state)))
		view->since_ms = now_ms;
	if (view->state == state && view->failure == failure && !strcmp(view->error, why) &&
		state != MGMT_WAITING)
		return;
	view->connects += state == MGMT_CONNECTED && view->state != state;
	view->state = state;
	view->failure = failure;
	if (why != view->error)
		g_strlcpy(view->error, why, sizeof(view->error));
	view->next_ms = state == MGMT_WAITING ? s->lines[SESSION_MAIN].at_ms : 0;
	act(s, SESSION_REPORT);
}

/* -- lines ---------------------------------------------------------------------------------- */

static bool is_busy(const struct line *line)
{
	return line->stage == KEY || line->stage == CALL;
}

static void drop(struct session *s, enum session_line n)
{
	if (is_busy(&s->lines[n]))
		act_on(s, SESSION_CANCEL, n);
	s->lines[n].stage = IDLE;
	s->lines[n].id = 0;
}

static void hang_up(struct session *s)
{
	for (size_t i = 0; i < SESSION_LINES; i++) {
		s->lines[i].stage = IDLE;
		s->lines[i].id = 0;
	}
	act(s, SESSION_CLOSE);
}

static void begin(struct session *s, enum session_line n, enum verdict_call call, int64_t now_ms)
{
	struct line *line = &s->lines[n];

	if (++s->last_id == 0)
		s->last_id = 1;
	*line = (struct line){ KEY, call, s->last_id, now_ms };
	act_on(s, SESSION_FETCH_KEY, n);
	if (n != SESSION_MAIN)
		return;
	s->began_ms = now_ms;
	s->view.attempts++;
	if (call != VERDICT_LOGOUT)
		report(s, MGMT_CONNECTING, s->view.failure, s->view.error, now_ms);
}

static void wait_for(struct session *s, enum session_line n, enum verdict_call call,
	struct pace *pace, int64_t now_ms)
{
	s->lines[n] = (struct line){ WAIT, call, 0,
		now_ms + pace_next_ms(pace, pace_roll(&s->random)) };
}

/* The Sync stream is gone: SyncMeta is of no use any more, as the next request says it all; a Job
 * stream may live on, but is not begun anew. */
static void leave_stream(struct session *s, int64_t now_ms)
{
	if (s->connected && now_ms - s->connected_ms >= SESSION_STEADY_MS) {
		pace_reset(&s->paces[SESSION_MAIN]);
		pace_reset(&s->login);
	}
	s->connected = false;
	drop(s, SESSION_META);
	if (!is_busy(&s->lines[SESSION_JOB]))
		drop(s, SESSION_JOB);
}

/* -- outcomes ------------------------------------------------------------------------------- */

static void finish_enrolment(struct session *s, enum mgmt_failure failure, const char *why)
{
	if (!s->enrolling)
		return;
	s->enrolling = s->has_key = false;
	conclude(s, SESSION_ENROLLED, failure, why);
}

static void give_up(struct session *s, enum mgmt_failure failure, const char *why, int64_t now_ms)
{
	bool refused = failure == MGMT_KEY_REFUSED || failure == MGMT_KEY_NEEDED ||
		failure == MGMT_DENIED || failure == MGMT_REFUSED;

	hang_up(s);
	finish_enrolment(s, failure, why);
	report(s, refused ? MGMT_LOGIN_NEEDED : MGMT_STOPPED, failure, why, now_ms);
}

/* What hangs may be this connection alone. */
static bool may_be_connection(const struct grpc_result *result)
{
	return result->failure != STREAM_OK || result->status == GRPC_UNAVAILABLE ||
		result->status == GRPC_DEADLINE_EXCEEDED || result->status == GRPC_CANCELLED ||
		result->status == GRPC_INTERNAL;
}

static void main_ended(struct session *s, enum verdict_call call, struct verdict v, const char *why,
	bool hangs, int64_t now_ms)
{
	enum verdict_call again = v.next == VERDICT_LOGIN || call != VERDICT_SYNC ? VERDICT_PROBE
										  : call;
	struct pace *pace = again == VERDICT_SYNC ? &s->paces[SESSION_MAIN]
		: s->enrolling                    ? &s->enrol
						  : &s->login;

	if ((call == VERDICT_PROBE || call == VERDICT_REGISTER) && v.next != VERDICT_USE_KEY) {
		s->view.logins++;
		s->view.login_ms = now_ms - s->began_ms;
		s->view.login_worked = v.next == VERDICT_DONE;
	}
	switch (v.next) {
	case VERDICT_DONE:
		finish_enrolment(s, MGMT_OK, "");
		s->view.serial = 0;
		return begin(s, SESSION_MAIN, VERDICT_SYNC, now_ms);
	case VERDICT_USE_KEY:
		return begin(s, SESSION_MAIN, VERDICT_REGISTER, now_ms);
	case VERDICT_NEVER: /* not of a login or Sync */
	case VERDICT_STOP:
		s->view.failures++;
		return give_up(s, v.failure, why, now_ms);
	case VERDICT_RETRY_SLOWLY:
		pace_grow(pace);
		break;
	case VERDICT_RETRY:
	case VERDICT_LOGIN:
		break;
	}
	if (hangs)
		hang_up(s);
	wait_for(s, SESSION_MAIN, again, pace, now_ms);
	s->view.failures++;
	report(s, MGMT_WAITING, v.failure, why, now_ms);
}

static void logout_ended(
	struct session *s, enum mgmt_failure failure, const char *why, int64_t now_ms)
{
	hang_up(s);
	conclude(s, SESSION_LOGGED_OUT, failure, failure == MGMT_OK ? "" : why);
	report(s, MGMT_STOPPED, failure, failure == MGMT_OK ? "" : why, now_ms);
}

static void job_ended(struct session *s, const struct line *was, struct verdict v, const char *why,
	int64_t now_ms)
{
	const struct line *line = &s->lines[SESSION_MAIN];

	if (v.next == VERDICT_NEVER) {
		s->view.job_unsupported = true;
		act(s, SESSION_REPORT);
	} else if (v.next == VERDICT_LOGIN && line->stage != IDLE && line->call == VERDICT_SYNC) {
		leave_stream(s, now_ms);
		drop(s, SESSION_MAIN);
		main_ended(s, VERDICT_SYNC, v, why, false, now_ms);
	} else if (v.next == VERDICT_RETRY && s->connected) {
		if (was->stage == CALL && now_ms - was->at_ms >= SESSION_STEADY_MS)
			pace_reset(&s->paces[SESSION_JOB]);
		wait_for(s, SESSION_JOB, VERDICT_JOB, &s->paces[SESSION_JOB], now_ms);
	}
}

static void meta_ended(struct session *s, struct verdict v, int64_t now_ms)
{
	if (v.next == VERDICT_DONE)
		pace_reset(&s->paces[SESSION_META]);
	else if (v.next != VERDICT_NEVER)
		wait_for(s, SESSION_META, VERDICT_META, &s->paces[SESSION_META], now_ms);
}

static void line_ended(struct session *s, enum session_line n, struct verdict v, const char *why,
	bool hangs, int64_t now_ms)
{
	struct line was = s->lines[n];

	s->lines[n].stage = IDLE;
	s->lines[n].id = 0;
	if (was.call == VERDICT_LOGOUT)
		return logout_ended(s, v.failure, why, now_ms);
	if (n == SESSION_META)
		return meta_ended(s, v, now_ms);
	if (n == SESSION_JOB)
		return job_ended(s, &was, v, why, now_ms);
	leave_stream(s, now_ms);
	main_ended(s, was.call, v, why, hangs, now_ms);
}

/* -- events --------------------------------------------------------------------------------- */

static enum session_line find(const struct session *s, uint32_t id)
{
	for (enum session_line n = 0; n < SESSION_LINES; n++)
		if (id && s->lines[n].id == id)
			return n;
	return SESSION_LINES;
}

void session_start(struct session *s, bool has_key, int64_t now_ms)
{
	session_stop(s, now_ms);
	pace_reset(&s->login);
	pace_reset(&s->enrol);
	for (size_t i = 0; i < SESSION_LINES; i++)
		pace_reset(&s->paces[i]);
	g_clear_pointer(&s->files, g_strfreev);
	s->view.serial = 0;
	s->view.job_unsupported = false;
	s->enrolling = s->has_key = has_key;
	s->enrol_until_ms = now_ms + SESSION_ENROL_MS;
	begin(s, SESSION_MAIN, VERDICT_PROBE, now_ms);
}

void session_stop(struct session *s, int64_t now_ms)
{
	static const char why[] = "stopped before there was an answer";

	leave_stream(s, now_ms);
	if (is_busy(&s->lines[SESSION_MAIN]) && s->lines[SESSION_MAIN].call == VERDICT_LOGOUT)
		conclude(s, SESSION_LOGGED_OUT, MGMT_UNREACHABLE, why);
	if (s->view.failure == MGMT_OK)
		finish_enrolment(s, MGMT_UNREACHABLE, why);
	finish_enrolment(s, s->view.failure, s->view.error);
	hang_up(s);
	report(s, MGMT_STOPPED, MGMT_OK, "", now_ms);
}

void session_logout(struct session *s, int64_t now_ms)
{
	session_stop(s, now_ms);
	begin(s, SESSION_MAIN, VERDICT_LOGOUT, now_ms);
}

void session_retry(struct session *s, int64_t now_ms)
{
	struct line *line = &s->lines[SESSION_MAIN];
	int64_t at_ms = MAX(now_ms, s->began_ms + SESSION_SPACING_MS);

	if (s->view.state == MGMT_LOGIN_NEEDED)
		*line = (struct line){ WAIT, VERDICT_PROBE, 0, at_ms };
	else if (line->stage != WAIT || line->at_ms <= at_ms)
		return;
	line->at_ms = at_ms;
	report(s, MGMT_WAITING, s->view.failure, s->view.error, now_ms);
}

void session_key(struct session *s, uint32_t id, bool fresh, int64_t now_ms)
{
	enum session_line n = find(s, id);

	if (n == SESSION_LINES || s->lines[n].stage != KEY)
		return;
	/* Serials protect from disorder within one life of a server; a restored one may count lower. */
	if (fresh)
		s->view.serial = 0;
	s->lines[n].stage = CALL;
	s->lines[n].at_ms = now_ms;
	act_on(s, SESSION_CALL, n);
}

void session_ended(struct session *s, uint32_t id, const struct grpc_result *result, int64_t now_ms)
{
	enum session_line n = find(s, id);
	g_autofree char *status = NULL;
	const char *why = result->text;
	struct verdict v;
	bool keyless;

	if (n == SESSION_LINES)
		return;
	keyless = s->lines[n].stage == KEY;
	v = verdict_of(s->lines[n].call, keyless, s->enrolling, s->has_key, result);
	status = g_strdup_printf("gRPC status %d", (int)result->status);
	if (v.note)
		why = v.note;
	else if (!*why)
		why = result->status == GRPC_OK ? "the server has ended the stream" : status;
	line_ended(s, n, v, why, may_be_connection(result), now_ms);
}

void session_broken(
	struct session *s, uint32_t id, enum mgmt_failure failure, const char *why, int64_t now_ms)
{
	/* A key that somebody is to confirm does not change by waiting. */
	bool final = s->enrolling && failure == MGMT_SERVER_KEY_CHANGED;
	struct verdict v = { final ? VERDICT_STOP : VERDICT_RETRY, failure, NULL };
	enum session_line n = find(s, id);

	if (n == SESSION_LINES)
		return;
	act_on(s, SESSION_CANCEL, n);
	line_ended(s, n, v, why, false, now_ms);
}

void session_message(struct session *s, uint32_t id, const char *problem, int64_t now_ms)
{
	struct line *line = &s->lines[SESSION_MAIN];

	if (find(s, id) != SESSION_MAIN || line->stage != CALL || line->call != VERDICT_SYNC)
		return;
	if (!s->connected) {
		s->connected = true;
		s->connected_ms = now_ms;
		if (s->lines[SESSION_JOB].stage == IDLE && !s->view.job_unsupported)
			begin(s, SESSION_JOB, VERDICT_JOB, now_ms);
	}
	s->view.message_ms = now_ms;
	report(s, MGMT_CONNECTED, problem ? MGMT_PROTOCOL : MGMT_OK, problem ? problem : "",
		now_ms);
}

bool session_takes_map(struct session *s, uint64_t serial)
{
	if (serial < s->view.serial)
		return false;
	s->view.serial = serial;
	return true;
}

void session_files(struct session *s, const char *const files[], bool from_login, int64_t now_ms)
{
	struct line *line = &s->lines[SESSION_META];
	int64_t at_ms = line->at_ms + SESSION_SPACING_MS;

	if (s->files ? g_strv_equal((const char *const *)s->files, files) : !files[0])
		return;
	g_strfreev(s->files);
	s->files = g_strdupv((char **)files);
	if (from_login || !s->connected)
		return;
	/* One after the other, whatever the server asks for. */
	drop(s, SESSION_META);
	if (line->at_ms && at_ms > now_ms)
		*line = (struct line){ WAIT, VERDICT_META, 0,
			MIN(at_ms, now_ms + SESSION_SPACING_MS) };
	else
		begin(s, SESSION_META, VERDICT_META, now_ms);
}

static int64_t line_due(const struct session *s, enum session_line n)
{
	const struct line *line = &s->lines[n];

	if (line->stage == WAIT)
		return line->at_ms;
	if (line->stage == CALL && line->call == VERDICT_SYNC && !s->connected)
		return line->at_ms + SESSION_FIRST_MS;
	return INT64_MAX;
}

int64_t session_tick(struct session *s, int64_t now_ms)
{
	int64_t next_ms = INT64_MAX;

	if (s->enrolling && now_ms >= s->enrol_until_ms)
		give_up(s, s->view.failure ? s->view.failure : MGMT_UNREACHABLE,
			s->view.failure ? s->view.error : "no answer within 2 minutes", now_ms);
	for (enum session_line n = 0; n < SESSION_LINES; n++) {
		if (now_ms < line_due(s, n))
			continue;
		if (s->lines[n].stage == WAIT)
			begin(s, n, s->lines[n].call, now_ms);
		else
			session_broken(s, s->lines[n].id, MGMT_UNREACHABLE,
				"the Sync stream gave no message within a minute", now_ms);
	}
	for (enum session_line n = 0; n < SESSION_LINES; n++)
		next_ms = MIN(next_ms, line_due(s, n));
	if (s->enrolling)
		next_ms = MIN(next_ms, s->enrol_until_ms);
	return next_ms == INT64_MAX ? SESSION_NEVER : next_ms;
}

bool session_next(struct session *s, struct session_action *ret)
{
	if (s->taken == s->actions->len) {
		g_array_set_size(s->actions, 0);
		s->taken = 0;
		return false;
	}
	*ret = g_array_index(s->actions, struct session_action, s->taken++);
	return true;
}

bool session_has_actions(const struct session *s)
{
	return s->taken < s->actions->len;
}

void session_view(const struct session *s, struct session_view *ret)
{
	*ret = s->view;
}

const char *const *session_wanted_files(const struct session *s)
{
	static const char *const none[] = { NULL };

	return s->files ? (const char *const *)s->files : none;
}

/* -- life ----------------------------------------------------------------------------------- */

struct session *session_new(uint64_t seed)
{
	struct session *s = g_new0(struct session, 1);

	s->random = seed;
	s->login.kind = PACE_LOGIN;
	s->enrol.kind = PACE_ENROL;
	s->paces[SESSION_MAIN].kind = s->paces[SESSION_JOB].kind = PACE_STREAM;
	s->paces[SESSION_META].kind = PACE_LOGIN;
	s->actions = g_array_new(FALSE, FALSE, sizeof(struct session_action));
	return s;
}

void session_free(struct session *s)
{
	if (!s)
		return;
	g_strfreev(s->files);
	g_array_unref(s->actions);
	g_free(s);
}
