/* tests/fuzz/replay.c - runs a fuzzer's function over files, without a fuzzer: its corpus as a test.
 * Arguments are files and directories of files. */
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int compare(gconstpointer a, gconstpointer b)
{
	return g_strcmp0(*(char *const *)a, *(char *const *)b);
}

static void collect(GPtrArray *paths, const char *path)
{
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *name;

	if (!dir) {
		g_ptr_array_add(paths, g_strdup(path));
		return;
	}
	while ((name = g_dir_read_name(dir)))
		g_ptr_array_add(paths, g_build_filename(path, name, NULL));
}

static bool replay(const char *path)
{
	g_autofree char *text = NULL;
	g_autofree uint8_t *exact = NULL; /* no byte more, for the sanitizers */
	gsize len;

	if (!g_file_get_contents(path, &text, &len, NULL))
		return false;
	exact = g_malloc(len ? len : 1);
	memcpy(exact, text, len);
	LLVMFuzzerTestOneInput(exact, len);
	return true;
}

int main(int argc, char **argv)
{
	g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
	guint failed = 0;

	for (int i = 1; i < argc; i++)
		collect(paths, argv[i]);
	if (!paths->len) {
		printf("1..1\nnot ok 1 - no corpus\n");
		return 1;
	}
	g_ptr_array_sort(paths, compare);
	printf("1..%u\n", paths->len);
	for (guint i = 0; i < paths->len; i++) {
		const char *path = g_ptr_array_index(paths, i);
		bool ok = replay(path);

		failed += !ok;
		printf("%sok %u - %s\n", ok ? "" : "not ", i + 1, path);
		fflush(stdout); /* the next one may be the last */
	}
	return failed > 0;
}
