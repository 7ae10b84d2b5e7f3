/* agent/rpc/reply.h - what the headers and trailers of a response mean. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/rpc/grpc.h"

enum {
	REPLY_NONE = -1,
	REPLY_HEADERS_MAX = 16 * 1024, /* as HTTP/2 counts a list: names, values, 32 for each */
};

struct reply {
	int http; /* 0: not seen */
	int status; /* REPLY_NONE: not seen */
	bool is_grpc; /* by its content-type */
	bool gzip, unknown_encoding;
	bool final; /* not a 1xx */
	size_t size; /* of the list so far */
	char text[GRPC_TEXT_MAX], type[64];
};

void reply_init(struct reply *reply);
/* A block of headers begins. */
void reply_begin(struct reply *reply);
/* 0; -EMSGSIZE: the list is too large. */
int reply_header(struct reply *reply, const char *name, size_t name_len, const char *value,
	size_t value_len);
/* Is it no answer of a gRPC server, so that its body is of no use? To be asked after the first block. */
bool reply_is_foreign(const struct reply *reply);
/* The stream has ended with this. */
void reply_result(const struct reply *reply, struct grpc_result *ret);
/* The stream was reset with this error code of HTTP/2. */
enum grpc_status reply_status_of_reset(uint32_t code);

/* Undoes percent encoding, then makes it printable. */
void reply_decode(const char *value, size_t len, char ret[static GRPC_TEXT_MAX]);
