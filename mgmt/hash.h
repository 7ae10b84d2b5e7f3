/* mgmt/hash.h - a fast 64-bit hash with a secret of this process: nobody can aim at collisions. */
#pragma once

#include <stddef.h>
#include <stdint.h>

uint64_t hash_bytes(const void *data, size_t len);
