/* agent/rpc/easy.h - what all transfers of libcurl have in common: whom they trust, and names that are not
 * curl's to look up. For stream.c and http.c only. */
#pragma once

#include <curl/curl.h>
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* These authorities in place of the system's; both NULL: the system's, where that can be without reading all. */
void easy_trust(CURL *easy, const char *ca_file, const char *ca_dir);
/* What is wrong with a file or directory of certificates, for curl says it too late, or not in words. NULL: it can
 * be read, or there is none. */
char *easy_cannot_read(const char *path, bool directory);
/* Takes the list of GInetAddress; gives what curl gets instead of looking up the name. */
struct curl_slist *easy_hosts(GList *addresses, uint16_t port);
/* Before it connects: a connection without the mark could go through the tunnel that it is to help make. 0 or -errno. */
int easy_mark(curl_socket_t fd, uint32_t mark);
