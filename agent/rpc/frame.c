/* agent/rpc/frame.c - gRPC's length-prefixed messages. */
#include "agent/rpc/frame.h"

#include <errno.h>
#include <gio/gio.h>
#include <string.h>

enum {
	FIRST = 4096, /* of a buffer */
	KEEP = 64 * 1024, /* a buffer up to this size is used again */
	GZIP = 1, /* the only flag */
};

static size_t announced(const struct frame_reader *r)
{
	return (size_t)r->head[1] << 24 | (size_t)r->head[2] << 16 | (size_t)r->head[3] << 8 |
		r->head[4];
}

void frame_put_head(uint8_t head[static FRAME_HEAD], size_t len)
{
	head[0] = 0;
	head[1] = (uint8_t)(len >> 24);
	head[2] = (uint8_t)(len >> 16);
	head[3] = (uint8_t)(len >> 8);
	head[4] = (uint8_t)len;
}

/* Doubled, because realloc of something large moves pages and copies nothing. */
static void append(struct frame_reader *r, const uint8_t *data, size_t len)
{
	size_t cap = r->cap ? r->cap : FIRST;

	while (cap < r->len + len)
		cap *= 2;
	cap = MIN(cap, r->want);
	if (cap > r->cap) {
		r->buf = g_realloc(r->buf, cap);
		r->cap = cap;
	}
	memcpy(r->buf + r->len, data, len);
	r->len += len;
}

/* One byte more than may come is asked for, to see that it is too much. */
static int inflate(struct frame_reader *r, const uint8_t *data, size_t len, size_t *ret_len)
{
	g_autoptr(GConverter)
		gzip = G_CONVERTER(g_zlib_decompressor_new(G_ZLIB_COMPRESSOR_FORMAT_GZIP));
	g_autofree uint8_t *out = NULL;
	size_t n = 0, cap = 0, read, written;
	GConverterResult result;

	do {
		if (n == cap) {
			if (cap > r->max)
				return -EMSGSIZE;
			cap = MIN(cap ? cap * 2 : FIRST, r->max + 1);
			out = g_realloc(out, cap);
		}
		/* An empty input is not an argument that GLib takes. */
		result = g_converter_convert(gzip, len ? data : (const uint8_t *)"", len, out + n,
			cap - n, G_CONVERTER_INPUT_AT_END, &read, &written, NULL);
		if (result == G_CONVERTER_ERROR)
			return -EBADMSG;
		data += read;
		len -= read;
		n += written;
	} while (result != G_CONVERTER_FINISHED);
	if (n > r->max)
		return -EMSGSIZE;
	if (len)
		return -EBADMSG;
	r->inflated = g_steal_pointer(&out);
	*ret_len = n;
	return 0;
}

static void take(const uint8_t **data, size_t *len, size_t n)
{
	*data += n;
	*len -= n;
}

static int read_head(
	struct frame_reader *r, const uint8_t **data, size_t *len, size_t *ret_announced)
{
	size_t n = MIN(*len, FRAME_HEAD - r->head_len);

	memcpy(r->head + r->head_len, *data, n);
	r->head_len += n;
	take(data, len, n);
	if (r->head_len < FRAME_HEAD)
		return 0;
	if (r->head[0] > GZIP || (r->head[0] == GZIP && !r->gzip))
		return -EPROTO;
	r->want = announced(r);
	if (r->want > r->max) {
		*ret_announced = r->want;
		return -EMSGSIZE;
	}
	return 1;
}

/* 1: the whole message is at *ret, in the piece itself when it came in one. */
static int read_body(struct frame_reader *r, const uint8_t **data, size_t *len, const uint8_t **ret)
{
	size_t n = MIN(*len, r->want - r->len);

	if (r->len == 0 && n == r->want) {
		*ret = *data;
		take(data, len, n);
		return 1;
	}
	append(r, *data, n);
	take(data, len, n);
	*ret = r->buf;
	return r->len == r->want;
}

int frame_next(struct frame_reader *r, const uint8_t **data, size_t *len, const uint8_t **ret,
	size_t *ret_len)
{
	int n;

	*ret_len = 0;
	frame_release(r);
	if (r->head_len < FRAME_HEAD) {
		n = read_head(r, data, len, ret_len);
		if (n <= 0)
			return n;
	}
	if (!read_body(r, data, len, ret))
		return 0;
	r->head_len = 0;
	r->len = 0;
	if (r->head[0] != GZIP) {
		*ret_len = r->want;
		return 1;
	}
	n = inflate(r, *ret, r->want, ret_len);
	*ret = r->inflated;
	return n < 0 ? n : 1;
}

void frame_release(struct frame_reader *r)
{
	g_clear_pointer(&r->inflated, g_free);
	if (r->len || r->cap <= KEEP)
		return;
	g_clear_pointer(&r->buf, g_free);
	r->cap = 0;
}

bool frame_is_partial(const struct frame_reader *r)
{
	return r->head_len > 0;
}

void frame_clear(struct frame_reader *r)
{
	g_clear_pointer(&r->inflated, g_free);
	g_clear_pointer(&r->buf, g_free);
	r->head_len = r->len = r->cap = 0;
}
