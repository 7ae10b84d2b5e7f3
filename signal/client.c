/* signal/client.c - the stream on which messages come, and a call for each that goes. */
#include "signal/client.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "agent/base/due.h"
#include "agent/base/seal.h"

#define METHOD(name) "/signalexchange.SignalExchange/" name

enum {
	CONNECT_MS = 10 * 1000,
	SEND_MS = 10 * 1000,
	SEND_LAST_MS = 15 * 1000, /* of the last try of a message */
};

struct signal_client {
	struct stream_options server; /* ours */
	struct wg_key private_key, public_key;
	const struct signal_callbacks *callbacks;
	void *user;

	struct life *life;
	struct inbox *inbox;
	struct outbox *outbox;
	struct grpc_channel *channel; /* NULL: none now */
	bool registered; /* a header of the stream says so */
	GHashTable *sends; /* struct send, those under way */
	char last_address[64];
	bool by_address; /* the name was not found: where it was last is tried */
	uint64_t fates[SIGNAL_FATES], taken[SIGNAL_TYPES];

	GSource *source; /* the next time to look, and the callback about a change */
	bool settling, tell;
	bool *freed; /* set by signal_client_free while a callback runs */
};

struct send {
	struct signal_client *client;
	uint32_t id;
};

static void settle(struct signal_client *c);

static int64_t now_ms(void)
{
	return g_get_monotonic_time() / 1000;
}

/* -- sending -------------------------------------------------------------------------------- */

static void answer_message(struct grpc_call *call, const uint8_t *data, size_t len, void *user)
{
}

static void send_done(struct grpc_call *call, const struct grpc_result *result, void *user)
{
	struct send *send = user;
	struct signal_client *c = send->client;

	outbox_ended(c->outbox, send->id, result->status == GRPC_OK);
	g_hash_table_remove(c->sends, send);
	settle(c);
}

static void send_message(struct signal_client *c, const struct outbox_message *m)
{
	static const struct grpc_callbacks callbacks = { .message = answer_message,
		.done = send_done };
	struct send *send = g_new(struct send, 1);

	*send = (struct send){ c, m->id };
	g_hash_table_add(c->sends, send);
	grpc_unary(c->channel, METHOD("Send"), m->data, m->len,
		m->tries < OUTBOX_TRIES ? SEND_MS : SEND_LAST_MS, NULL, &callbacks, send);
}

static int put(struct signal_client *c, const struct wg_key *remote, const struct signal_body *body)
{
	uint8_t nonce[BOX_NONCE], *plain, *message;
	size_t plain_len, len;

	plain = signal_body_encode(body, &plain_len);
	box_nonce(nonce);
	message = signal_seal(
		nonce, &c->private_key, &c->public_key, remote, plain, plain_len, &len);
	seal_wipe(plain, plain_len);
	if (!message)
		return -EINVAL;
	return outbox_add(
		c->outbox, remote, body->type != SIGNAL_CANDIDATE, message, len, now_ms());
}

int signal_client_send(
	struct signal_client *c, const struct wg_key *remote, const struct signal_body *body)
{
	struct life_view view;
	int r;

	life_get_view(c->life, &view);
	if (view.state == SIGNAL_STOPPED)
		return -ENOTCONN;
	r = put(c, remote, body);
	settle(c);
	return r;
}

/* -- receiving ------------------------------------------------------------------------------ */

static void stream_metadata(
	struct grpc_call *call, const char *name, const char *value, bool trailer, void *user)
{
	struct signal_client *c = user;

	if (!trailer && !strcmp(name, "x-wiretrustee-peer-registered"))
		c->registered = true;
}

static void stream_headers(struct grpc_call *call, void *user)
{
	struct signal_client *c = user;

	if (c->registered)
		g_strlcpy(
			c->last_address, grpc_channel_address(c->channel), sizeof(c->last_address));
	life_headers(c->life, c->registered, now_ms());
	settle(c);
}

static void stream_message(struct grpc_call *call, const uint8_t *data, size_t len, void *user)
{
	struct signal_client *c = user;
	struct signal_body body;
	struct wg_key from;
	enum signal_fate fate = inbox_take(c->inbox, data, len, now_ms(), &from, &body);
	bool freed = false;

	c->fates[fate]++;
	life_heard(c->life, now_ms());
	if (fate == SIGNAL_TAKEN) {
		c->taken[body.type]++;
		if (c->callbacks->received) {
			c->freed = &freed;
			c->callbacks->received(&from, &body, c->user);
		}
	}
	if (freed)
		return;
	c->freed = NULL;
	settle(c);
}

static void stream_done(struct grpc_call *call, const struct grpc_result *result, void *user)
{
	struct signal_client *c = user;

	c->by_address = result->failure == STREAM_NAME && c->last_address[0] && !c->by_address;
	life_ended(c->life, result, now_ms());
	settle(c);
}

/* -- the connection ------------------------------------------------------------------------- */

static void open_channel(struct signal_client *c)
{
	static const struct grpc_callbacks callbacks = { .metadata = stream_metadata,
		.headers = stream_headers,
		.message = stream_message,
		.done = stream_done };
	char key[KEY_STRLEN];
	const char *const metadata[] = { "x-wiretrustee-peer-id", key_format(&c->public_key, key),
		NULL };
	struct grpc_channel_options options = {
		.stream = c->server,
		.user_agent = "lapwing/" LAPWING_VERSION,
	};

	c->registered = false;
	options.stream.address = c->by_address ? c->last_address : NULL;
	c->channel = grpc_channel_new(&options);
	/* Open and silent: the server reads nothing of it. */
	grpc_stream(c->channel, METHOD("ConnectStream"), 0, metadata, &callbacks, c);
}

static void close_channel(struct signal_client *c)
{
	g_clear_pointer(&c->channel, grpc_channel_free);
	g_hash_table_remove_all(c->sends);
	outbox_recall(c->outbox);
}

static void perform(struct signal_client *c, unsigned acts)
{
	static const struct signal_body heartbeat = { .type = SIGNAL_HEARTBEAT };

	if (acts & LIFE_CLOSE)
		close_channel(c);
	if (acts & LIFE_OPEN)
		open_channel(c);
	if (acts & LIFE_PROBE)
		(void)put(c, &c->public_key, &heartbeat); /* no room is no answer either */
	if (acts & LIFE_REPORT)
		c->tell = true;
}

static bool is_connected(const struct signal_client *c)
{
	struct life_view view;

	life_get_view(c->life, &view);
	return view.state == SIGNAL_CONNECTED;
}

static int64_t sooner(int64_t a, int64_t b)
{
	return a < 0 ? b : b < 0 ? a : MIN(a, b);
}

/* Does what is to be done until nothing is, and plans the next look. */
static void settle(struct signal_client *c)
{
	struct outbox_message m;
	int64_t next_ms;
	unsigned acts;

	if (c->settling)
		return;
	c->settling = true;
	do {
		next_ms = sooner(life_tick(c->life, now_ms()), outbox_tick(c->outbox, now_ms()));
		acts = life_take(c->life);
		perform(c, acts);
	} while (acts);
	while (is_connected(c) && outbox_next(c->outbox, &m))
		send_message(c, &m);
	c->settling = false;
	g_source_set_ready_time(c->source, c->tell ? 0 : next_ms < 0 ? -1 : next_ms * 1000);
}

static gboolean look(gpointer user)
{
	struct signal_client *c = user;
	bool freed = false;

	if (c->tell) {
		c->tell = false;
		c->freed = &freed;
		c->callbacks->changed(c->user);
		if (freed)
			return G_SOURCE_REMOVE;
		c->freed = NULL;
	}
	settle(c);
	return G_SOURCE_CONTINUE;
}

/* -- life ----------------------------------------------------------------------------------- */

struct signal_client *signal_client_new(
	const struct signal_options *options, const struct signal_callbacks *callbacks, void *user)
{
	struct signal_client *c = g_new0(struct signal_client, 1);

	stream_options_copy(&c->server,
		&(struct stream_options){ .url = options->url,
			.ca_file = options->ca_file,
			.ca_dir = options->ca_dir,
			.client_cert = options->client_cert,
			.client_key = options->client_key,
			.mark = options->mark,
			.connect_ms = CONNECT_MS });
	c->private_key = *options->private_key;
	key_public_from_private(&c->private_key, &c->public_key);
	c->callbacks = callbacks;
	c->user = user;
	c->life = life_new((uint64_t)g_random_int() << 32 | g_random_int());
	c->inbox = inbox_new(&c->private_key, callbacks->is_peer, user);
	c->outbox = outbox_new();
	c->sends = g_hash_table_new_full(NULL, NULL, g_free, NULL);
	c->source = due_new(look, c, NULL);
	return c;
}

void signal_client_free(struct signal_client *c)
{
	if (!c)
		return;
	if (c->freed)
		*c->freed = true;
	close_channel(c);
	due_free(c->source);
	life_free(c->life);
	inbox_free(c->inbox);
	outbox_free(c->outbox);
	g_hash_table_unref(c->sends);
	key_wipe(&c->private_key);
	stream_options_clear(&c->server);
	g_free(c);
}

void signal_client_start(struct signal_client *c)
{
	life_start(c->life, now_ms());
	settle(c);
}

void signal_client_stop(struct signal_client *c)
{
	life_stop(c->life, now_ms());
	outbox_clear(c->outbox);
	settle(c);
}

void signal_client_retry(struct signal_client *c)
{
	life_retry(c->life, now_ms());
	settle(c);
}

void signal_client_doubt(struct signal_client *c)
{
	life_doubt(c->life, now_ms());
	settle(c);
}

void signal_client_get_status(const struct signal_client *c, struct signal_status *ret)
{
	*ret = (struct signal_status){ 0 };
	life_get_view(c->life, &ret->life);
	outbox_get_counts(c->outbox, &ret->out);
	memcpy(ret->fates, c->fates, sizeof(ret->fates));
	memcpy(ret->taken, c->taken, sizeof(ret->taken));
	g_strlcpy(ret->address, c->last_address, sizeof(ret->address));
}
