/* agent/push_body.c - gzip, by GIO. */
#include "agent/push_body.h"

#include <gio/gio.h>

enum { PIECE = 16 * 1024, LEVEL = 6 };

GBytes *push_compress(const char *text, size_t len)
{
	g_autoptr(GConverter)
		zip = G_CONVERTER(g_zlib_compressor_new(G_ZLIB_COMPRESSOR_FORMAT_GZIP, LEVEL));
	GByteArray *out = g_byte_array_new();
	GConverterResult result;
	guint8 piece[PIECE];
	gsize read, written;

	do {
		read = written = 0;
		result = g_converter_convert(zip, text, len, piece, sizeof(piece),
			G_CONVERTER_INPUT_AT_END, &read, &written, NULL);
		text += read;
		len -= read;
		g_byte_array_append(out, piece, (guint)written);
	} while (result == G_CONVERTER_CONVERTED);
	return g_byte_array_free_to_bytes(out);
}
