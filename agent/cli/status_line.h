/* agent/cli/status_line.h - the lines of what `status` and `peers` print for people. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

/* "label      text": without control characters, whoever the text is from. */
void status_line(const char *label, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* status_control.c: about the server of a network and, with `detail`, what its map says beside peers;
 * nothing where there is none. */
void status_print_control(const json_t *root, bool detail);
