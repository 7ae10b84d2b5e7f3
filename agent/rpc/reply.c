/* agent/rpc/reply.c - the end of a call, as the server tells it: grpc-status, else HTTP's. */
#include "agent/rpc/reply.h"

#include <errno.h>
#include <glib.h>
#include <nghttp2/nghttp2.h>
#include <string.h>

#include "agent/base/text.h"

enum { ENTRY = 32, OK = 200, FINAL = 200 };

/* Longer than what is shown, by what escaping and percent signs take. */
enum { DECODE_MAX = 3 * GRPC_TEXT_MAX };

void reply_init(struct reply *reply)
{
	*reply = (struct reply){ .status = REPLY_NONE };
}

void reply_begin(struct reply *reply)
{
	reply->size = 0;
}

void reply_decode(const char *value, size_t len, char ret[static GRPC_TEXT_MAX])
{
	char plain[DECODE_MAX];
	size_t n = 0;

	for (size_t i = 0; i < len && n < sizeof(plain); i++) {
		int high = -1, low = -1;

		if (value[i] == '%' && len - i > 2) {
			high = g_ascii_xdigit_value(value[i + 1]);
			low = g_ascii_xdigit_value(value[i + 2]);
		}
		if (high >= 0 && low >= 0) {
			plain[n++] = (char)(high << 4 | low);
			i += 2;
		} else {
			plain[n++] = value[i];
		}
	}
	text_escape(ret, GRPC_TEXT_MAX, plain, n);
}

/* Decimal digits, and nothing else; -1. */
static int number(const char *value, size_t len, int max)
{
	int n = 0;

	if (len == 0 || len > 3)
		return -1;
	for (size_t i = 0; i < len; i++) {
		if (!g_ascii_isdigit(value[i]))
			return -1;
		n = n * 10 + (value[i] - '0');
	}
	return n <= max ? n : -1;
}

static bool is(const char *a, size_t len, const char *b)
{
	return len == strlen(b) && !memcmp(a, b, len);
}

static void read_type(struct reply *reply, const char *value, size_t len)
{
	static const char grpc[] = "application/grpc";
	const size_t n = sizeof(grpc) - 1;

	text_escape(reply->type, sizeof(reply->type), value, len);
	reply->is_grpc = len >= n && !g_ascii_strncasecmp(value, grpc, n) &&
		(len == n || strchr("+;", value[n]));
}

int reply_header(
	struct reply *reply, const char *name, size_t name_len, const char *value, size_t value_len)
{
	reply->size += name_len + value_len + ENTRY;
	if (reply->size > REPLY_HEADERS_MAX)
		return -EMSGSIZE;
	if (is(name, name_len, ":status")) {
		reply->http = number(value, value_len, 999);
		reply->final = reply->http >= FINAL;
	} else if (is(name, name_len, "content-type")) {
		read_type(reply, value, value_len);
	} else if (is(name, name_len, "grpc-encoding")) {
		reply->gzip = is(value, value_len, "gzip");
		reply->unknown_encoding = !reply->gzip && !is(value, value_len, "identity");
	} else if (is(name, name_len, "grpc-status")) {
		reply->status = number(value, value_len, GRPC_UNAUTHENTICATED);
		if (reply->status < 0)
			reply->status = GRPC_UNKNOWN;
	} else if (is(name, name_len, "grpc-message")) {
		reply_decode(value, value_len, reply->text);
	}
	return 0;
}

bool reply_is_foreign(const struct reply *reply)
{
	return reply->status == REPLY_NONE && (reply->http != OK || !reply->is_grpc);
}

static enum grpc_status status_of_http(int http)
{
	switch (http) {
	case 400:
		return GRPC_INTERNAL;
	case 401:
		return GRPC_UNAUTHENTICATED;
	case 403:
		return GRPC_PERMISSION_DENIED;
	case 404:
		return GRPC_UNIMPLEMENTED;
	case 429:
	case 502:
	case 503:
	case 504:
		return GRPC_UNAVAILABLE;
	default:
		return GRPC_UNKNOWN;
	}
}

void reply_result(const struct reply *reply, struct grpc_result *ret)
{
	*ret = (struct grpc_result){ .status = GRPC_INTERNAL };
	if (reply->status != REPLY_NONE) {
		ret->status = (enum grpc_status)reply->status;
		g_strlcpy(ret->text, reply->text, sizeof(ret->text));
	} else if (reply_is_foreign(reply)) {
		ret->status = status_of_http(reply->http);
		g_snprintf(ret->text, sizeof(ret->text), "the server answered with HTTP %d, %s",
			reply->http, reply->type[0] ? reply->type : "no content-type");
	} else {
		g_strlcpy(ret->text, "the stream ended without a status", sizeof(ret->text));
	}
}

enum grpc_status reply_status_of_reset(uint32_t code)
{
	switch (code) {
	case NGHTTP2_REFUSED_STREAM:
		return GRPC_UNAVAILABLE;
	case NGHTTP2_CANCEL:
		return GRPC_CANCELLED;
	case NGHTTP2_ENHANCE_YOUR_CALM:
		return GRPC_RESOURCE_EXHAUSTED;
	case NGHTTP2_INADEQUATE_SECURITY:
		return GRPC_PERMISSION_DENIED;
	default:
		return GRPC_INTERNAL;
	}
}
