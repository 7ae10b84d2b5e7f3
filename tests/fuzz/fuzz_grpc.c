/* tests/fuzz/fuzz_grpc.c - a server's answer: messages in pieces of any size, compressed or not; headers. */
/* covers: agent/rpc/frame.c agent/rpc/reply.c */
#include <assert.h>
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "agent/rpc/frame.h"
#include "agent/rpc/reply.h"

enum { MESSAGE_MAX = 100 * 1000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What came out, to be compared. */
struct outcome {
	int r;
	bool partial;
	GByteArray *bytes;
};

static struct outcome read_messages(const uint8_t *data, size_t size, size_t piece, bool gzip)
{
	struct frame_reader r = { .max = MESSAGE_MAX, .gzip = gzip };
	struct outcome o = { .bytes = g_byte_array_new() };
	const uint8_t *message;
	size_t len;

	for (size_t at = 0; at < size && o.r == 0; at += piece) {
		const uint8_t *from = data + at;
		size_t left = MIN(piece, size - at);

		while ((o.r = frame_next(&r, &from, &left, &message, &len)) > 0) {
			assert(len <= MESSAGE_MAX && r.cap <= MESSAGE_MAX);
			g_byte_array_append(o.bytes, (const uint8_t *)&len, sizeof(len));
			g_byte_array_append(o.bytes, message, (guint)len);
			if (len % 2)
				frame_release(&r);
		}
		assert(o.r < 0 || left == 0);
	}
	assert(o.r == 0 || o.r == -EMSGSIZE || o.r == -EPROTO || o.r == -EBADMSG);
	o.partial = frame_is_partial(&r);
	frame_clear(&r);
	return o;
}

/* However it is cut, the same comes out. */
static void messages(const uint8_t *data, size_t size, size_t piece, bool gzip)
{
	struct outcome whole = read_messages(data, size, size + 1, gzip);
	struct outcome pieces = read_messages(data, size, piece, gzip);

	assert(whole.r == pieces.r && whole.partial == pieces.partial);
	assert(whole.bytes->len == pieces.bytes->len);
	assert(!whole.bytes->len ||
		!memcmp(whole.bytes->data, pieces.bytes->data, whole.bytes->len));
	g_byte_array_unref(whole.bytes);
	g_byte_array_unref(pieces.bytes);
}

static void check_text(const char *text, size_t size)
{
	assert(strlen(text) < size && g_utf8_validate(text, -1, NULL));
	for (const char *c = text; *c; c++)
		assert(!g_ascii_iscntrl(*c));
}

/* Lines "name:value"; an empty one begins the trailers. */
static void headers(const char *text, size_t size)
{
	const char *end = text + size;
	struct grpc_result result;
	struct reply reply;
	int r = 0;

	reply_init(&reply);
	reply_begin(&reply);
	while (text < end && r == 0) {
		const char *line = memchr(text, '\n', (size_t)(end - text));
		const char *stop = line ? line : end;
		const char *colon = text + 1 < stop ? /* a name may begin with one */
			memchr(text + 1, ':', (size_t)(stop - text - 1))
						    : NULL;

		if (text == stop)
			reply_begin(&reply);
		else if (colon)
			r = reply_header(&reply, text, (size_t)(colon - text), colon + 1,
				(size_t)(stop - colon - 1));
		text = line ? line + 1 : end;
	}
	assert(r == 0 || r == -EMSGSIZE);
	reply_result(&reply, &result);
	check_text(result.text, sizeof(result.text));
	assert(result.status <= GRPC_UNAUTHENTICATED && result.failure == STREAM_OK);
	assert(result.status != GRPC_OK || reply.status == GRPC_OK);
	if (reply_is_foreign(&reply))
		assert(result.status != GRPC_OK);
}

/* First what to do, and the size of the pieces. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t head[FRAME_HEAD];

	if (size < 2)
		return 0;
	frame_put_head(head, size);
	assert(head[0] == 0 && head[4] == (uint8_t)size);
	assert(reply_status_of_reset(data[1]) != GRPC_OK);
	if (data[0] & 1)
		headers((const char *)data + 2, size - 2);
	else
		messages(data + 2, size - 2, (size_t)data[1] + 1, data[0] & 2);
	return 0;
}
