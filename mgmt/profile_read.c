/* mgmt/profile_read.c - a profile from its text. */
#include <errno.h>
#include <string.h>

#include "agent/base/jread.h"
#include "agent/base/text.h"
#include "mgmt/profile_impl.h"

enum { URL_MAX = 255, OBJECT_MAX = 1024, MTU_MIN = 576 };

static char *copy(struct slice s)
{
	return g_strndup(s.s, s.len);
}

static void replace(char **text, char *with)
{
	explicit_bzero(*text, strlen(*text));
	g_free(*text);
	*text = with;
}

/* -- URLs --------------------------------------------------------------------------------------- */

struct parts {
	char *scheme, *host;
};

static void read_part(struct jread *r, struct slice key, void *into)
{
	struct parts *parts = into;
	char **part = NULL;

	if (key.len == 6 && !memcmp(key.s, "Scheme", 6))
		part = &parts->scheme;
	else if (key.len == 4 && !memcmp(key.s, "Host", 4))
		part = &parts->host;
	if (!part) {
		jread_skip(r);
		return;
	}
	g_free(*part);
	*part = copy(jread_string(r));
}

static char *read_url_object(struct jread *r)
{
	struct parts parts = { g_strdup(""), g_strdup("") };
	char *url = NULL;

	jread_members(r, OBJECT_MAX, read_part, &parts);
	if (*parts.scheme || *parts.host)
		url = g_strdup_printf("%s://%s", parts.scheme, parts.host);
	g_free(parts.scheme);
	g_free(parts.host);
	return url ? url : g_strdup("");
}

/* Nothing but scheme, name or address, and port; the rest is for who connects to judge. */
static bool url_is_good(const char *url)
{
	const char *host = strstr(url, "://");
	size_t len = strlen(url);

	if (len > URL_MAX ||
		!(g_str_has_prefix(url, "https://") || g_str_has_prefix(url, "http://")))
		return false;
	host += 3;
	if (g_str_has_suffix(host, "/"))
		len--;
	for (const char *at = host; at < url + len; at++)
		if (!g_ascii_isalnum(*at) && !strchr("-._:[]", *at))
			return false;
	return url + len > host;
}

/* "": as if it was not there. */
static void read_url(struct jread *r, char **into)
{
	g_autofree char *url = jread_peek(r) == '{' ? read_url_object(r) : copy(jread_string(r));

	if (r->error || !*url)
		return;
	if (!url_is_good(url))
		return jread_fail(r, "not the URL of a server");
	if (g_str_has_suffix(url, "/"))
		url[strlen(url) - 1] = '\0';
	replace(into, g_steal_pointer(&url));
}

/* -- other kinds ------------------------------------------------------------------------------ */

static void read_key(struct jread *r, struct wg_key *into)
{
	struct slice s = jread_string(r);

	if (!r->error && s.len && key_parse(s.s, s.len, into) < 0)
		jread_fail(r, "not a WireGuard key");
}

static void read_item(struct jread *r, void *into)
{
	g_ptr_array_add(into, copy(jread_string(r)));
}

static void read_list(struct jread *r, char ***into)
{
	GPtrArray *items = g_ptr_array_new();

	jread_array(r, PROFILE_LIST_MAX, read_item, items);
	g_ptr_array_add(items, NULL);
	g_strfreev(*into);
	*into = (char **)g_ptr_array_free(items, FALSE);
}

static void read_value(struct jread *r, const struct profile_member *m, void *at)
{
	switch (m->kind) {
	case PROFILE_BOOL:
		*(bool *)at = jread_bool(r);
		return;
	case PROFILE_SWITCH:
		*(int64_t *)at = jread_bool(r);
		return;
	case PROFILE_INT:
	case PROFILE_INT_OR_NULL:
		*(int64_t *)at = jread_int(r, 0, m->max);
		return;
	case PROFILE_STRING:
		replace(at, copy(jread_string(r)));
		return;
	case PROFILE_URL:
		return read_url(r, at);
	case PROFILE_LIST:
		return read_list(r, at);
	case PROFILE_KEY:
		return read_key(r, at);
	}
}

/* -- the document ----------------------------------------------------------------------------- */

static size_t find_member(struct slice key)
{
	for (size_t i = 0; i < PROFILE_MEMBERS; i++)
		if (strlen(profile_members[i].key) == key.len &&
			!memcmp(profile_members[i].key, key.s, key.len))
			return i;
	return PROFILE_MEMBERS;
}

/* That agent writes null for what it leaves open. */
static void read_member(struct jread *r, struct slice key, void *into)
{
	struct profile *profile = into;
	size_t i = find_member(key);

	if (i == PROFILE_MEMBERS || jread_peek(r) == 'n') {
		jread_skip(r);
		return;
	}
	if (profile->given >> i & 1)
		return jread_fail(r, "it is there twice");
	profile->given |= UINT64_C(1) << i;
	read_value(r, &profile_members[i], profile_at(profile, &profile_members[i]));
}

static const char *find_problem(const struct profile *profile)
{
	if (key_is_zero(&profile->private_key))
		return "there is no PrivateKey";
	if (!text_is_interface_name(profile->interface, strlen(profile->interface)))
		return "WgIface: not an interface name";
	if (profile->mtu && profile->mtu < MTU_MIN)
		return "MTU: must be 576 to 65535, or 0";
	return NULL;
}

int profile_parse(
	const char *text, size_t len, struct profile *ret, char error[static PROFILE_ERROR_MAX])
{
	struct profile profile;
	const char *problem;
	struct jread r;

	profile_init(&profile);
	profile.ssh_server = true; /* so it was before this key came */
	jread_init(&r, text, len);
	if (len > PROFILE_SIZE_MAX)
		jread_fail(&r, "larger than %d KiB", PROFILE_SIZE_MAX / 1024);
	jread_members(&r, OBJECT_MAX, read_member, &profile);
	jread_finish(&r);
	problem = r.error ? r.message : find_problem(&profile);
	if (problem) {
		g_strlcpy(error, problem, PROFILE_ERROR_MAX);
		profile_done(&profile);
	} else {
		*ret = profile;
		explicit_bzero(&profile, sizeof(profile));
	}
	explicit_bzero(&r, sizeof(r));
	return problem ? -EINVAL : 0;
}
