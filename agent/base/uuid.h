/* agent/base/uuid.h - the text form of a UUID, which setup keys have. */
#pragma once

#include <stddef.h>

enum { UUID_TEXT_LEN = 36, UUID_STRLEN = UUID_TEXT_LEN + 1 };

/* "A2C8E62B-38F5-4553-B31E-DD66C696CEBB" to lower case. 0, or -EINVAL: of another form; `ret` is untouched
 * then. Text need not be terminated. */
int uuid_parse(const char *text, size_t len, char ret[static UUID_STRLEN]);
