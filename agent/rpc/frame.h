/* agent/rpc/frame.h - gRPC messages as they lie in the bytes of a stream: length, flag, gzip. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FRAME_HEAD = 5 };

/* Reads messages from pieces. The buffer grows with what has really come, never with what is promised. */
struct frame_reader {
	size_t max; /* of a message, and of what it inflates to */
	bool gzip; /* compressed messages may come: grpc-encoding said so */
	uint8_t head[FRAME_HEAD];
	size_t head_len;
	uint8_t *buf;
	size_t len, cap, want; /* of the message in buf */
	uint8_t *inflated;
};

/* Takes bytes from the piece (*data and *len move on) till a message is complete. 1: *ret, which is
 * valid till the next call and while the piece is; 0: the piece is used up; -EMSGSIZE: larger than
 * `max`, *ret_len says what it announced (0: while inflating); -EPROTO: no such flag, or compressed
 * although nothing said so; -EBADMSG: it does not inflate. */
int frame_next(struct frame_reader *r, const uint8_t **data, size_t *len, const uint8_t **ret,
	size_t *ret_len);
/* Gives back the memory of a large message that was used. */
void frame_release(struct frame_reader *r);
/* A message has begun and is not complete. */
bool frame_is_partial(const struct frame_reader *r);
void frame_clear(struct frame_reader *r);

void frame_put_head(uint8_t head[static FRAME_HEAD], size_t len);
