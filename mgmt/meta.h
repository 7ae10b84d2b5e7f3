/* mgmt/meta.h - what a management server is told about this host: PeerSystemMeta, as a plain value.
 *
 * Gathered in slices, so that a host with many processes does not hold up the loop. What cannot be read
 * is left out. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { META_TEXT_MAX = 128, META_ADDRESSES_MAX = 256 };

struct meta_address {
	char address[64]; /* with prefix length, host bits kept: "192.0.2.5/24" */
	char mac[18];
};

struct meta_file {
	char *path; /* as the server asked */
	bool exists, runs;
};

/* What this host's configuration switches off, so that nobody counts on it. */
struct meta_switches {
	bool no_client_routes; /* it routes nothing to peers but their addresses */
	bool no_firewall; /* rules of the map are not enforced */
};

struct meta {
	char hostname[META_TEXT_MAX], kernel[META_TEXT_MAX], kernel_release[META_TEXT_MAX];
	char machine[META_TEXT_MAX], os[META_TEXT_MAX], os_version[META_TEXT_MAX];
	char serial[META_TEXT_MAX], product[META_TEXT_MAX], vendor[META_TEXT_MAX];
	const char *container; /* "Docker", "Kubernetes" or "" */
	bool ipv6; /* this host can have IPv6 addresses */
	struct meta_switches switches;
	struct meta_address *addresses;
	size_t n_addresses;
	struct meta_file *files;
	size_t n_files,
		n_refused; /* refused: paths that `allowed` does not cover; told as absent */
};

struct meta_options {
	const char *root; /* of /etc, /proc, /sys; "": the host's own */
	const char *hostname; /* NULL: that of the host */
	const char *interface; /* its addresses are not told; NULL: none */
	const char *const *allowed; /* path prefixes of files that may be told about; NULL: none */
	const char *const *files; /* what the server asks about; NULL: nothing */
	struct meta_switches switches;
};

/* May the server know about this path? Absolute, without ".." or "//", at or below one of the prefixes. */
bool meta_may_tell(const char *path, const char *const allowed[]);

struct meta_gather;

/* The options are copied. Everything but the files is read here: a few small files of the kernel. */
struct meta_gather *meta_gather_new(const struct meta_options *options);
/* Goes on for some milliseconds at most. False: it is complete. A file on a server that is away may hold
 * it up; the allowed prefixes are the host's own choice. */
bool meta_gather_step(struct meta_gather *gather);
/* Takes what was found and frees the rest. */
struct meta *meta_gather_finish(struct meta_gather *gather);
void meta_gather_free(struct meta_gather *gather); /* NULL is fine */
void meta_free(struct meta *meta); /* NULL is fine */
