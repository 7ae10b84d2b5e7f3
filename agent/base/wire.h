/* agent/base/wire.h - walks over the fields of a protobuf message without copying anything. Pure.
 *
 * For messages that hold very long lists: their elements are found here one by one, so that a broken one
 * spoils nothing but itself and memory does not grow with the message. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wire_bytes {
	const uint8_t *data;
	size_t len;
};

struct wire {
	const uint8_t *at, *end;
	bool bad; /* what stands at `at` is no field */
};

struct wire_field {
	uint32_t number;
	bool has_bytes; /* else it has a value */
	uint64_t value;
	struct wire_bytes bytes;
};

static inline struct wire wire_begin(struct wire_bytes message)
{
	return (struct wire){ .at = message.data,
		.end = message.len ? message.data + message.len : message.data };
}

/* Any field. False: there is none, or wire->bad. */
bool wire_next_slowly(struct wire *wire, struct wire_field *ret);

/* False: there is no further field, or wire->bad. Nearly all fields have a tag and a length of one byte. */
static inline bool wire_next(struct wire *wire, struct wire_field *ret)
{
	const uint8_t *at = wire->at;

	if (wire->end - at < 2 || wire->bad || (at[0] & 0x87) != 2 || at[0] < 8 || at[1] > 0x7f ||
		at[1] > wire->end - at - 2)
		return wire_next_slowly(wire, ret);
	*ret = (struct wire_field){ at[0] >> 3, true, 0, { at + 2, at[1] } };
	wire->at = at + 2 + at[1];
	return true;
}

/* The number of bytes of a number, and writing it: returns what is behind it. */
size_t wire_varint_len(uint64_t value);
uint8_t *wire_put_varint(uint8_t *at, uint64_t value);
/* The head of a field of bytes. */
static inline uint8_t *wire_put_head(uint8_t *at, unsigned field, size_t len)
{
	return wire_put_varint(wire_put_varint(at, field << 3 | 2), len);
}
