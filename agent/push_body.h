/* agent/push_body.h - what is sent to a server of metrics, in the form in which it is sent. */
#pragma once

#include <glib.h>
#include <stddef.h>

/* As gzip has it. */
GBytes *push_compress(const char *text, size_t len);
