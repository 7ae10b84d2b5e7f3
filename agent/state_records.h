/* agent/state_records.h - state files of records of one size, with a checksum; and what becomes of
 * damaged ones. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/addr.h"

enum { STATE_RECORDS_MAX = 2 * 1024 * 1024 };

/* One kind of file. */
struct state_records {
	char magic[8];
	uint32_t version;
	uint32_t size; /* of a record, in bytes */
};

/* An endpoint in a record; numbers are little-endian. */
struct state_endpoint {
	uint8_t ip_version; /* 4, 6; 0: none */
	uint8_t more; /* of the record's */
	uint16_t port;
	uint32_t scope;
	uint8_t addr[16];
};

void state_endpoint_encode(const struct endpoint *from, struct state_endpoint *ret);
/* False: no version of ours wrote this. */
bool state_endpoint_decode(const struct state_endpoint *from, struct endpoint *ret);

/* A file that is not there reads as empty, so does a damaged one, which is moved aside. 0 or -errno;
 * free with g_free. */
int state_records_load(
	const char *path, const struct state_records *kind, uint8_t **ret, size_t *ret_n);
int state_records_save(
	const char *path, const struct state_records *kind, const void *records, size_t n);

/* What a result of file_read says: the file itself is bad, as opposed to a disk or a process that is. */
bool state_is_damage(int r);
/* Renames it to .corrupt, for whoever wants to know how it came about. */
void state_move_aside(const char *path, const char *why);
