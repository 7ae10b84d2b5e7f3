/* tests/fuzz/fuzz_meshupdate.c - any bytes in place of one host of a mesh file: what the quick way makes
 * of it is what parsing makes of it. */
/* covers: mgmt/meshupdate.c */
#include <assert.h>
#include <glib.h>
#include <string.h>

#include "mgmt/meshfile.h"
#include "mgmt/meshupdate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char head[] =
	"{\"mesh\":\"x\",\"hosts\":[{\"name\":\"a\",\"addresses\":[\"100.64.0.1\"],\"public_key\":"
	"\"rf4uG7KxS1SGSoJ4tTJnOhpdTcQkLWBIE4YFvFyTlXc=\"},";
static const char host[] =
	"{\"name\":\"b\",\"public_key\":\"BUPQ/+ESdYkZ5Bbw0jqmOo0jAPpyWcBKgOBcDVcO8w4=\",\"addresses\":"
	"[\"100.64.0.2\"],\"endpoints\":[\"192.0.2.2:1\"],\"routes\":[\"10.0.0.0/8\"]},";
static const char named[] =
	"{\"name\":\"b\",\"public_key\":\"BUPQ/+ESdYkZ5Bbw0jqmOo0jAPpyWcBKgOBcDVcO8w4=\",\"addresses\":"
	"[\"100.64.0.2\"],\"endpoints\":[\"b.example:1\"],\"psk_file\":\"/p\"},";
static const char tail[] = "{\"name\":\"c\",\"addresses\":[\"100.64.0.3\"],\"public_key\":"
			   "\"xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=\"}]}";

static char *document(const void *middle, size_t len, size_t *ret_len)
{
	GString *out = g_string_new(head);

	g_string_append_len(out, middle, (gssize)len);
	g_string_append(out, tail);
	*ret_len = out->len;
	return g_string_free(out, FALSE);
}

static void compare(const struct netmap *map, const char *text, size_t len)
{
	char error[MESHFILE_ERROR_MAX];
	struct netmap *parsed = NULL;

	assert(meshfile_parse(text, len, NULL, 50, &parsed, error) == 0);
	assert(parsed->n_hosts == map->n_hosts && parsed->n_endpoints == map->n_endpoints);
	assert(!memcmp(parsed->hosts, map->hosts, map->n_hosts * sizeof(*map->hosts)));
	assert(!memcmp(parsed->sources, map->sources, map->n_hosts * sizeof(*map->sources)));
	for (size_t i = 0; i < map->n_endpoints; i++)
		assert(endpoint_is_same(&parsed->endpoints[i].address, &map->endpoints[i].address));
	for (size_t i = 0; i < map->n_prefixes; i++)
		assert(prefix_is_same(&parsed->prefixes[i], &map->prefixes[i]));
	netmap_free(parsed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct netmap_patch patches[MESHUPDATE_PATCHES_MAX];
	char error[MESHFILE_ERROR_MAX];
	struct netmap *map = NULL;
	size_t len, n;
	char first = size ? (char)data[0] : 0;
	bool whole = first == '!', other = first == '@'; /* the whole text; another old text */
	g_autofree char *old = other ? document(named, sizeof(named) - 1, &len)
				     : document(host, sizeof(host) - 1, &len);
	g_autofree char *text = NULL;

	assert(meshfile_parse(old, len, NULL, 50, &map, error) == 0);
	data += whole || other;
	size -= whole || other;
	text = whole ? g_memdup2(data, len = size) : document(data, size, &len);
	if (first == '?') /* a map that came from elsewhere */
		g_clear_pointer(&map->sources, g_free);
	if (meshupdate_read(text, len, map, patches, &n) == 0) {
		for (size_t i = 0; i < n; i++)
			netmap_apply(map, &patches[i]);
		compare(map, text, len);
	}
	netmap_free(map);
	return 0;
}
