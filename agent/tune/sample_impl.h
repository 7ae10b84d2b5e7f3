/* agent/tune/sample_impl.h - inside of sample*.c. */
#pragma once

#include "agent/tune/sample.h"

struct sample *sample_new(void);
/* Zeroed elements of this size; `clear` may be NULL. */
GArray *sample_array(size_t size, GDestroyNotify clear);
/* nic_drops and nic_worst from `nic`. Drivers count the same loss for each queue and for all of them; the
 * former have numbers in their names. */
void sample_weigh(struct sample_link *link);
