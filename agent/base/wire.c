/* agent/base/wire.c - walks over the fields of a protobuf message. */
#include "agent/base/wire.h"

enum { TYPE_VARINT, TYPE_64_BITS, TYPE_BYTES, TYPE_32_BITS = 5 };
enum { NUMBER_MAX = (1 << 29) - 1 };

static bool take_varint(struct wire *w, uint64_t *ret)
{
	uint64_t value = 0;

	for (unsigned shift = 0; shift < 70 && w->at < w->end; shift += 7) {
		uint8_t byte = *w->at++;

		value |= (uint64_t)(byte & 0x7f) << shift % 64;
		if (shift == 63 && byte > 1)
			return false;
		if (byte < 0x80) {
			*ret = value;
			return true;
		}
	}
	return false;
}

static bool take_bytes(struct wire *w, size_t len, struct wire_bytes *ret)
{
	if (len > (size_t)(w->end - w->at))
		return false;
	*ret = (struct wire_bytes){ w->at, len };
	w->at += len;
	return true;
}

static bool take_content(struct wire *w, unsigned type, struct wire_field *ret)
{
	uint64_t len;

	switch (type) {
	case TYPE_VARINT:
		return take_varint(w, &ret->value);
	case TYPE_64_BITS:
		return take_bytes(w, 8, &ret->bytes);
	case TYPE_BYTES:
		ret->has_bytes = true;
		return take_varint(w, &len) && take_bytes(w, len, &ret->bytes);
	case TYPE_32_BITS:
		return take_bytes(w, 4, &ret->bytes);
	default:
		return false;
	}
}

bool wire_next_slowly(struct wire *w, struct wire_field *ret)
{
	struct wire_field field = { 0 };
	uint64_t tag;

	if (w->bad || w->at == w->end)
		return false;
	w->bad = true;
	if (!take_varint(w, &tag) || tag < 8 || tag >> 3 > NUMBER_MAX)
		return false;
	field.number = (uint32_t)(tag >> 3);
	if (!take_content(w, tag & 7, &field))
		return false;
	w->bad = false;
	*ret = field;
	return true;
}

size_t wire_varint_len(uint64_t value)
{
	size_t n = 1;

	while (value >>= 7)
		n++;
	return n;
}

uint8_t *wire_put_varint(uint8_t *at, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		*at++ = (uint8_t)(value | 0x80);
	*at++ = (uint8_t)value;
	return at;
}
