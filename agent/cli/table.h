/* agent/cli/table.h - aligned columns. */
#pragma once

#include <stdio.h>

struct table;

enum { TABLE_COLUMNS_MAX = 12 };

/* `headers` ends with NULL; one that begins with '>' is of a column that is aligned to the right. */
struct table *table_new(const char *const *headers);
void table_free(struct table *table);
/* Takes the text of the next cell (g_free); a full row begins the next. */
void table_take(struct table *table, char *cell);
/* As it is, but for control characters. "" is shown as "-". */
void table_add(struct table *table, const char *cell);
void table_print(const struct table *table, FILE *out);
