/* agent/rpc/loop.h - drives one transfer of libcurl from the default GMainContext; for stream.c and http.c only. */
#pragma once

#include <curl/curl.h>

struct loop;

/* A multi handle of its own for every transfer: nothing is shared, so nothing of one (names, certificates
 * that were read) is served to another. `finished` runs from the loop, outside of curl, once; the loop
 * may be freed from it. */
struct loop *loop_start(CURL *easy, void (*finished)(CURLcode result, void *user), void *user);
/* Takes the easy handle out first; what it is connected to is closed. NULL is fine. */
void loop_free(struct loop *loop);
