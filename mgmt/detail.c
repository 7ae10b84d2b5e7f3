/* mgmt/detail.c - what a server's map says beyond peers and rules: memory. */
#include "mgmt/detail.h"

#include <glib.h>

void detail_free(struct detail *detail)
{
	if (!detail)
		return;
	g_free(detail->routes);
	g_free(detail->offline);
	g_free(detail->dns.zones);
	g_free(detail->dns.records);
	g_free(detail->dns.groups);
	g_free(detail->notes);
	g_free(detail->text);
	g_free(detail);
}
