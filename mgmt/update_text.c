/* mgmt/update_text.c - memory, texts and notes of a message that is being read. */
#include <glib.h>
#include <protobuf-c/protobuf-c.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/text.h"
#include "mgmt/envelope.h"
#include "mgmt/update_impl.h"

/* -- memory --------------------------------------------------------------------------------- */

enum { ARENA_SMALL = 16 * 1024, ARENA_BIG = 1024 * 1024 };

struct update_arena {
	ProtobufCAllocator allocator;
	size_t used, big_used, big_most;
	uint8_t *big; /* for what is too big; NULL: nothing was yet */
	_Alignas(16) uint8_t small[ARENA_SMALL];
};

static void *take(uint8_t *block, size_t size, size_t *used, size_t n)
{
	size_t at = *used;

	if (n > size - at)
		return NULL;
	*used = MIN((at + n + 15) & ~(size_t)15, size);
	return block + at;
}

/* What asks for more than there is has to do without: that element is not read. */
static void *arena_alloc(void *user, size_t n)
{
	struct update_arena *arena = user;
	void *p = take(arena->small, ARENA_SMALL, &arena->used, n);

	if (p)
		return p;
	if (!arena->big)
		arena->big = g_malloc(ARENA_BIG);
	p = take(arena->big, ARENA_BIG, &arena->big_used, n);
	arena->big_most = MAX(arena->big_most, arena->big_used);
	return p;
}

static void arena_release(void *user, void *p)
{
}

struct update_arena *update_arena_new(void)
{
	struct update_arena *arena = g_new0(struct update_arena, 1);

	arena->allocator = (ProtobufCAllocator){ arena_alloc, arena_release, arena };
	return arena;
}

void update_arena_free(struct update_arena *arena)
{
	/* Passwords have been there. */
	envelope_wipe(arena->big, arena->big_most);
	envelope_wipe((uint8_t *)arena, sizeof(*arena));
}

struct ProtobufCAllocator *update_arena(struct update_reading *r)
{
	r->arena->used = r->arena->big_used = 0;
	return &r->arena->allocator;
}

void *update_room(void *array, size_t n, size_t item)
{
	if (n && (n < 8 || n & (n - 1)))
		return array;
	return g_realloc_n(array, n ? 2 * n : 8, item);
}

/* -- texts ---------------------------------------------------------------------------------- */

static char *text_room(struct update_texts *t, size_t more)
{
	if (t->len + more > t->cap) {
		t->cap = MAX(2 * t->cap, t->len + more + 256);
		t->s = g_realloc(t->s, t->cap);
	}
	return t->s + t->len;
}

uint32_t update_add_text(struct update_texts *t, const char *s, size_t len)
{
	uint32_t at = (uint32_t)t->len;
	char *to;

	if (!len && t->len)
		return 0;
	to = text_room(t, len + 1);
	memcpy(to, s, len);
	to[len] = '\0';
	t->len += len + 1;
	return at;
}

void update_list_add(struct update_list *list, const char *s, size_t len)
{
	struct update_texts *t = list->texts;
	char *to;

	if (!list->begin) {
		list->begin = update_add_text(t, s, len);
		return;
	}
	to = text_room(t, len + 2) - 1; /* over the NUL */
	memcpy(to, ", ", 2);
	memcpy(to + 2, s, len);
	to[len + 2] = '\0';
	t->len += len + 2;
}

/* U+0000 to U+001F and U+007F to U+009F. */
static bool is_control(const char *s)
{
	uint8_t c = (uint8_t)s[0];

	return c < 0x20 || c == 0x7f || (c == 0xc2 && (uint8_t)s[1] < 0xa0);
}

bool update_text_is_good(const char *s, size_t len, size_t max)
{
	size_t n;

	if (!len || len > max)
		return false;
	for (const char *end = s + len; s < end; s += n) {
		n = text_utf8_len(s, end);
		if (!n || is_control(s))
			return false;
	}
	return true;
}

/* What a character of a name becomes; 0: it may not be there. */
static const char normal[256] = {
	['-'] = '-',
	['.'] = '.',
	['0'] = '0',
	'1',
	'2',
	'3',
	'4',
	'5',
	'6',
	'7',
	'8',
	'9',
	['A'] = 'a',
	'b',
	'c',
	'd',
	'e',
	'f',
	'g',
	'h',
	'i',
	'j',
	'k',
	'l',
	'm',
	'n',
	'o',
	'p',
	'q',
	'r',
	's',
	't',
	'u',
	'v',
	'w',
	'x',
	'y',
	'z',
	['_'] = '_',
	['a'] = 'a',
	'b',
	'c',
	'd',
	'e',
	'f',
	'g',
	'h',
	'i',
	'j',
	'k',
	'l',
	'm',
	'n',
	'o',
	'p',
	'q',
	'r',
	's',
	't',
	'u',
	'v',
	'w',
	'x',
	'y',
	'z',
};

size_t update_normal_name(const char *s, size_t len, char ret[static UPDATE_NAME_MAX + 1])
{
	bool letters = false, good = true;

	if (len && s[len - 1] == '.')
		len--;
	if (!len || len > UPDATE_NAME_MAX || s[0] == '.')
		return 0;
	for (size_t i = 0; i < len; i++) {
		ret[i] = normal[(uint8_t)s[i]];
		good &= ret[i] != 0;
		letters |= ret[i] > '9' || ret[i] == '-';
	}
	ret[len] = '\0';
	/* Digits and dots alone would be an address. */
	return good && letters ? len : 0;
}

size_t update_normal_domain(const char *s, size_t len, char ret[static UPDATE_NAME_MAX + 3])
{
	size_t wild = len > 2 && s[0] == '*' && s[1] == '.' ? 2 : 0;
	/* What is not there has no address. */
	size_t rest = len ? update_normal_name(s + wild, len - wild, ret + wild) : 0;

	if (!rest)
		return 0;
	memcpy(ret, "*.", wild);
	return wild + rest;
}

/* -- notes ---------------------------------------------------------------------------------- */

void update_note(struct update_reading *r, const char *format, ...)
{
	struct detail *d = r->detail;
	char raw[512], text[512];
	va_list args;
	size_t len;

	d->n_left_out++;
	if (d->n_notes == DETAIL_NOTES_MAX)
		return;
	va_start(args, format);
	vsnprintf(raw, sizeof(raw), format, args);
	va_end(args);
	len = text_escape(text, sizeof(text), raw, strlen(raw));
	d->notes = update_room(d->notes, d->n_notes, sizeof(*d->notes));
	d->notes[d->n_notes++] = update_add_text(&r->texts, text, len);
}
