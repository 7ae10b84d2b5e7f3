/* agent/base/text.h - foreign text: UTF-8, and a form that is safe to print. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Bytes of the well-formed UTF-8 character at `s`, before `end`; 0 when there is none. */
size_t text_utf8_len(const char *s, const char *end);

/* Copies text to a terminated buffer; bytes that are not printable UTF-8 come out as \x1b, and what
 * does not fit is cut with "...". `size` is at least 4. Returns the length of the copy. */
size_t text_escape(char *buf, size_t size, const char *s, size_t len);

/* "db1", "db1.example.net": labels of letters, digits and inner hyphens, of at most 63 bytes each. */
enum { HOSTNAME_MAX = 253 };
bool text_is_hostname(const char *s, size_t len);

/* What an interface of ours may be called: 1 to 15 of A-Z a-z 0-9 _ . - and no path. An unsigned decimal number
 * would be taken for an index by many tools. */
bool text_is_interface_name(const char *s, size_t len);

/* "https://host:8443/path?query": http or https, a host, printable ASCII, neither user nor fragment. */
enum { TEXT_URL_MAX = 512 };
bool text_is_http_url(const char *s, size_t len);
