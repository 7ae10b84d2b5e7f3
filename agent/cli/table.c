/* agent/cli/table.c - aligned columns. */
#include "agent/cli/table.h"

#include <glib.h>

#include "agent/cli/output.h"

struct table {
	GPtrArray *cells; /* row by row, the headers first */
	size_t n_columns;
	bool right[TABLE_COLUMNS_MAX];
	glong width[TABLE_COLUMNS_MAX];
};

struct table *table_new(const char *const *headers)
{
	struct table *table = g_new0(struct table, 1);

	table->cells = g_ptr_array_new_with_free_func(g_free);
	while (headers[table->n_columns])
		table->n_columns++;
	g_assert(table->n_columns <= TABLE_COLUMNS_MAX);
	for (size_t i = 0; i < table->n_columns; i++) {
		table->right[i] = headers[i][0] == '>';
		table_add(table, headers[i] + table->right[i]);
	}
	return table;
}

void table_free(struct table *table)
{
	if (!table)
		return;
	g_ptr_array_unref(table->cells);
	g_free(table);
}

void table_take(struct table *table, char *cell)
{
	size_t column = table->cells->len % table->n_columns;
	glong width = g_utf8_strlen(cell, -1);

	table->width[column] = MAX(table->width[column], width);
	g_ptr_array_add(table->cells, cell);
}

void table_add(struct table *table, const char *cell)
{
	table_take(table, text_safe(*cell ? cell : "-"));
}

void table_print(const struct table *table, FILE *out)
{
	for (size_t i = 0; i < table->cells->len; i++) {
		const char *cell = g_ptr_array_index(table->cells, i);
		size_t column = i % table->n_columns;
		bool last = column + 1 == table->n_columns;
		int pad = (int)(table->width[column] - g_utf8_strlen(cell, -1));

		fprintf(out, "%*s%s", table->right[column] ? pad : 0, "", cell);
		fprintf(out, "%*s", last ? 0 : (table->right[column] ? 0 : pad) + 2, "");
		if (last)
			fputc('\n', out);
	}
}
