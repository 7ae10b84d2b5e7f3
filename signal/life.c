/* signal/life.c - connects, watches, connects again. */
#include "signal/life.h"

#include <glib.h>
#include <string.h>

#include "agent/rpc/pace.h"

struct life {
	struct life_view view;
	struct pace pace;
	uint64_t random;
	int64_t began_ms; /* the last attempt */
	int64_t heard_ms, answer_ms; /* a probe is to be answered by then; 0: none is out */
	unsigned acts;
};

static void report(struct life *l, enum signal_state state, enum signal_failure failure,
	const char *why, int64_t now_ms)
{
	struct life_view *v = &l->view;
	bool was = v->state == SIGNAL_CONNECTED, is = state == SIGNAL_CONNECTED;

	if (was != is || v->state == SIGNAL_STOPPED || state == SIGNAL_STOPPED)
		v->since_ms = now_ms;
	v->connects += !was && is;
	v->failures += state == SIGNAL_WAITING;
	v->state = state;
	v->failure = failure;
	if (why != v->error)
		g_strlcpy(v->error, why, sizeof(v->error));
	l->acts |= LIFE_REPORT;
}

static void begin(struct life *l, int64_t now_ms)
{
	l->began_ms = now_ms;
	l->answer_ms = 0;
	l->view.attempts++;
	l->acts |= LIFE_OPEN;
	report(l, SIGNAL_CONNECTING, l->view.failure, l->view.error, now_ms);
}

static void fail(struct life *l, enum signal_failure failure, const char *why, int64_t now_ms)
{
	if (l->view.state == SIGNAL_CONNECTED && now_ms - l->view.since_ms >= LIFE_STEADY_MS)
		pace_reset(&l->pace);
	l->acts = (l->acts & ~(unsigned)(LIFE_OPEN | LIFE_PROBE)) | LIFE_CLOSE;
	l->view.next_ms = now_ms + pace_next_ms(&l->pace, pace_roll(&l->random));
	report(l, SIGNAL_WAITING, failure, why, now_ms);
}

static bool is_open(const struct life *l)
{
	return l->view.state == SIGNAL_CONNECTING || l->view.state == SIGNAL_CONNECTED;
}

/* -- events --------------------------------------------------------------------------------- */

void life_start(struct life *l, int64_t now_ms)
{
	life_stop(l, now_ms);
	pace_reset(&l->pace);
	begin(l, now_ms);
}

void life_stop(struct life *l, int64_t now_ms)
{
	if (l->view.state == SIGNAL_STOPPED)
		return;
	l->acts = LIFE_CLOSE;
	report(l, SIGNAL_STOPPED, SIGNAL_WELL, "", now_ms);
}

void life_retry(struct life *l, int64_t now_ms)
{
	int64_t at_ms = MAX(now_ms, l->began_ms + LIFE_SPACING_MS);

	if (l->view.state != SIGNAL_WAITING || l->view.next_ms <= at_ms)
		return;
	l->view.next_ms = at_ms;
	l->acts |= LIFE_REPORT;
}

static void probe(struct life *l, int64_t answer_ms)
{
	l->answer_ms = l->answer_ms ? MIN(l->answer_ms, answer_ms) : answer_ms;
	l->acts |= LIFE_PROBE;
}

void life_doubt(struct life *l, int64_t now_ms)
{
	life_retry(l, now_ms);
	if (l->view.state == SIGNAL_CONNECTED)
		probe(l, now_ms + LIFE_DOUBT_MS);
}

void life_headers(struct life *l, bool registered, int64_t now_ms)
{
	if (l->view.state != SIGNAL_CONNECTING)
		return;
	if (!registered)
		return fail(l, SIGNAL_PROTOCOL, "the server does not say that we are registered",
			now_ms);
	l->heard_ms = now_ms;
	report(l, SIGNAL_CONNECTED, SIGNAL_WELL, "", now_ms);
}

void life_heard(struct life *l, int64_t now_ms)
{
	l->heard_ms = l->view.message_ms = now_ms;
	l->answer_ms = 0;
}

static enum signal_failure failure_of(const struct grpc_result *result)
{
	if (result->failure == STREAM_TLS || result->failure == STREAM_USAGE)
		return SIGNAL_TLS;
	if (result->failure != STREAM_OK || result->status == GRPC_UNAVAILABLE ||
		result->status == GRPC_CANCELLED || result->status == GRPC_DEADLINE_EXCEEDED ||
		result->status == GRPC_OK)
		return SIGNAL_UNREACHABLE;
	return result->status == GRPC_UNIMPLEMENTED ? SIGNAL_PROTOCOL : SIGNAL_REFUSED;
}

void life_ended(struct life *l, const struct grpc_result *result, int64_t now_ms)
{
	const char *why = result->text;
	char status[32];

	if (!is_open(l))
		return;
	g_snprintf(status, sizeof(status), "gRPC status %d", (int)result->status);
	if (!*why)
		why = result->status == GRPC_OK ? "the server has ended the stream" : status;
	fail(l, failure_of(result), why, now_ms);
}

static int64_t due(const struct life *l)
{
	switch (l->view.state) {
	case SIGNAL_STOPPED:
		break;
	case SIGNAL_WAITING:
		return l->view.next_ms;
	case SIGNAL_CONNECTING:
		return l->began_ms + LIFE_CONNECT_MS;
	case SIGNAL_CONNECTED:
		return l->answer_ms ? l->answer_ms : l->heard_ms + LIFE_SILENCE_MS;
	}
	return LIFE_NEVER;
}

int64_t life_tick(struct life *l, int64_t now_ms)
{
	int64_t at_ms = due(l);

	if (at_ms == LIFE_NEVER || now_ms < at_ms)
		return at_ms;
	if (l->view.state == SIGNAL_WAITING) {
		begin(l, now_ms);
	} else if (l->view.state == SIGNAL_CONNECTING) {
		fail(l, SIGNAL_UNREACHABLE, "not registered within 30 seconds", now_ms);
	} else if (l->answer_ms) {
		fail(l, SIGNAL_STALLED, "the stream brings nothing, not even our own heartbeat",
			now_ms);
	} else {
		probe(l, now_ms + LIFE_PROBE_MS);
	}
	return due(l);
}

/* -- what follows --------------------------------------------------------------------------- */

unsigned life_take(struct life *l)
{
	unsigned acts = l->acts;

	l->acts = 0;
	return acts;
}

void life_get_view(const struct life *l, struct life_view *ret)
{
	*ret = l->view;
}

struct life *life_new(uint64_t seed)
{
	struct life *l = g_new0(struct life, 1);

	l->random = seed;
	l->pace.kind = PACE_STREAM;
	return l;
}

void life_free(struct life *l)
{
	g_free(l);
}

const char *signal_state_name(enum signal_state state)
{
	static const char *const names[] = { [SIGNAL_STOPPED] = "stopped",
		[SIGNAL_CONNECTING] = "connecting",
		[SIGNAL_CONNECTED] = "connected",
		[SIGNAL_WAITING] = "waiting" };

	return names[state];
}

const char *signal_failure_name(enum signal_failure failure)
{
	static const char *const names[] = { [SIGNAL_WELL] = "ok",
		[SIGNAL_UNREACHABLE] = "unreachable",
		[SIGNAL_TLS] = "tls",
		[SIGNAL_REFUSED] = "refused",
		[SIGNAL_PROTOCOL] = "protocol",
		[SIGNAL_STALLED] = "stalled" };

	return names[failure];
}
