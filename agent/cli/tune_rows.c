/* agent/cli/tune_rows.c - lines about settings; neighbours that say the same become one. */
#include "agent/cli/tune_rows.h"

#include <string.h>

static bool is_alike(const struct tune_row *a, const struct tune_row *b)
{
	return a->knob == b->knob && !g_strcmp0(a->device, b->device) &&
		!g_strcmp0(a->before, b->before) && !g_strcmp0(a->after, b->after) &&
		!g_strcmp0(a->reason, b->reason) && !g_strcmp0(a->word, b->word) &&
		a->error == b->error && a->disruptive == b->disruptive;
}

guint tune_rows_alike(const GArray *rows, guint from)
{
	const struct tune_row *first = &g_array_index(rows, struct tune_row, from);
	guint n = 1;

	while (from + n < rows->len &&
		is_alike(first, &g_array_index(rows, struct tune_row, from + n)))
		n++;
	return n;
}

char *tune_rows_object(const GArray *rows, guint from, guint n)
{
	const char *first = g_array_index(rows, struct tune_row, from).object;
	const char *last = g_array_index(rows, struct tune_row, from + n - 1).object;
	const char *space = strchr(last, ' ');
	size_t device = space ? (size_t)(space - last) + 1 : 0;

	if (n == 1)
		return g_strdup(first);
	return g_strdup_printf(
		"%s ... %s (%u)", first, strncmp(first, last, device) ? last : last + device, n);
}
