/* agent/cli/status_line.c - one line of text for people. */
#include "agent/cli/status_line.h"

#include <glib.h>
#include <stdarg.h>
#include <stdio.h>

#include "agent/cli/output.h"

void status_line(const char *label, const char *format, ...)
{
	g_autofree char *text = NULL, *safe = NULL;
	va_list ap;

	va_start(ap, format);
	text = g_strdup_vprintf(format, ap);
	va_end(ap);
	safe = text_safe(text);
	printf("%-10s %s\n", label, safe);
}
