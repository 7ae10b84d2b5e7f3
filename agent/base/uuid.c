/* agent/base/uuid.c - the text form of a UUID, which setup keys have. */
#include "agent/base/uuid.h"

#include <errno.h>
#include <glib.h>
#include <stdbool.h>

static bool is_dash_place(size_t i)
{
	return i == 8 || i == 13 || i == 18 || i == 23;
}

int uuid_parse(const char *text, size_t len, char ret[static UUID_STRLEN])
{
	if (len != UUID_TEXT_LEN)
		return -EINVAL;
	for (size_t i = 0; i < len; i++)
		if (is_dash_place(i) ? text[i] != '-' : !g_ascii_isxdigit(text[i]))
			return -EINVAL;
	for (size_t i = 0; i < len; i++)
		ret[i] = g_ascii_tolower(text[i]);
	ret[len] = '\0';
	return 0;
}
