/* agent/config_impl.h - what the two halves of reading lapwing.json share. */
#pragma once

#include "agent/base/jread.h"
#include "agent/config.h"

void config_read_path(struct jread *r, char **ret);
/* One of the `n` words: its number. */
unsigned config_read_word(struct jread *r, const char *const *words, unsigned n);
/* config_network.c; all take a struct config. */
void config_read_management(struct jread *r, void *into);
void config_read_endpoints(struct jread *r, void *into);
void config_read_metrics(struct jread *r, void *into);
void config_read_ice(struct jread *r, void *into);
void config_read_file_checks(struct jread *r, void *into);
void config_network_done(struct config *config);
