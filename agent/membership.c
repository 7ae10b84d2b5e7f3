/* agent/membership.c - reads and writes network.json. */
#include "agent/membership.h"

#include <errno.h>
#include <glib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/file.h"
#include "agent/base/jread.h"
#include "agent/base/jwrite.h"
#include "agent/base/log.h"
#include "agent/state_records.h"

enum { VERSION = 1, LIST_MAX = 64 };

static void read_version(struct jread *r, void *into)
{
	if (jread_int(r, 1, INT32_MAX) != VERSION)
		jread_fail(r, "not version %d", VERSION);
}

static void read_text(struct jread *r, char **ret)
{
	struct slice s = jread_string(r);

	if (r->error)
		return;
	if (!s.len || s.len >= MEMBERSHIP_TEXT_MAX)
		return jread_fail(r, "1 to %d bytes", MEMBERSHIP_TEXT_MAX - 1);
	*ret = g_strndup(s.s, s.len);
}

static void read_url(struct jread *r, void *into)
{
	read_text(r, &((struct membership *)into)->url);
}

static void read_address(struct jread *r, void *into)
{
	read_text(r, &((struct membership *)into)->address);
}

static void read_signal(struct jread *r, void *into)
{
	read_text(r, &((struct membership *)into)->signal);
}

static void read_hostname(struct jread *r, void *into)
{
	read_text(r, &((struct membership *)into)->hostname);
}

static void read_server_key(struct jread *r, void *into)
{
	struct membership *m = into;
	struct slice s = jread_string(r);

	if (r->error)
		return;
	if (key_parse(s.s, s.len, &m->server_key) < 0)
		return jread_fail(r, "not a key");
	m->has_server_key = true;
}

static void read_interface(struct jread *r, void *into)
{
	struct membership *m = into;
	struct slice s = jread_string(r);

	if (s.len >= sizeof(m->interface))
		return jread_fail(r, "not an interface name");
	memcpy(m->interface, s.s, s.len);
}

static void read_listen_port(struct jread *r, void *into)
{
	((struct membership *)into)->listen_port = (uint16_t)jread_int(r, 1, UINT16_MAX);
}

static void read_mtu(struct jread *r, void *into)
{
	((struct membership *)into)->mtu = (uint16_t)jread_int(r, 576, UINT16_MAX);
}

static void read_psk(struct jread *r, void *into)
{
	((struct membership *)into)->has_psk = jread_bool(r);
}

static void read_item(struct jread *r, void *into)
{
	char *text = NULL;

	read_text(r, &text);
	g_ptr_array_add(into, text);
}

static void read_list(struct jread *r, char ***ret)
{
	GPtrArray *items = g_ptr_array_new();

	jread_array(r, LIST_MAX, read_item, items);
	g_ptr_array_add(items, NULL);
	*ret = (char **)g_ptr_array_free(items, FALSE);
}

static void read_stuns(struct jread *r, void *into)
{
	read_list(r, &((struct membership *)into)->stuns);
}

static void read_external_ips(struct jread *r, void *into)
{
	read_list(r, &((struct membership *)into)->external_ips);
}

static void read_interfaces_exclude(struct jread *r, void *into)
{
	read_list(r, &((struct membership *)into)->interfaces_exclude);
}

static const struct jread_field fields[] = {
	{ "version", read_version, true },
	{ "url", read_url, true },
	{ "address", read_address, false },
	{ "signal", read_signal, false },
	{ "stun", read_stuns, false },
	{ "hostname", read_hostname, false },
	{ "server_key", read_server_key, false },
	{ "interface", read_interface, false },
	{ "listen_port", read_listen_port, false },
	{ "mtu", read_mtu, false },
	{ "external_ips", read_external_ips, false },
	{ "interfaces_exclude", read_interfaces_exclude, false },
	{ "psk", read_psk, false },
};

static char *path_in(const char *state_dir)
{
	return g_build_filename(state_dir, "network.json", NULL);
}

int membership_load(const char *state_dir, struct membership *ret)
{
	g_autofree char *path = path_in(state_dir), *text = NULL;
	struct membership m = { 0 };
	struct jread r;
	size_t len = 0;
	int rc = file_read(path, MEMBERSHIP_SIZE_MAX, &text, &len);

	if (state_is_damage(rc)) {
		state_move_aside(path, file_strerror(rc));
		return -ENOENT;
	}
	if (rc < 0)
		return rc;
	jread_init(&r, text, len);
	jread_object(&r, fields, G_N_ELEMENTS(fields), &m);
	if (jread_finish(&r)) {
		membership_done(&m);
		state_move_aside(path, r.message);
		return -ENOENT;
	}
	*ret = m;
	return 0;
}

static void write_list(GString *out, const char *key, char *const *list)
{
	if (!list)
		return;
	jwrite_open(out, key, '[');
	for (; *list; list++)
		jwrite_string(out, NULL, *list);
	jwrite_close(out, ']');
}

int membership_save(const char *state_dir, const struct membership *m)
{
	g_autofree char *path = path_in(state_dir);
	g_autoptr(GString) out = g_string_new(NULL);
	char key[KEY_STRLEN];

	jwrite_open(out, NULL, '{');
	jwrite_int(out, "version", VERSION);
	jwrite_string(out, "url", m->url);
	if (m->address)
		jwrite_string(out, "address", m->address);
	if (m->signal)
		jwrite_string(out, "signal", m->signal);
	write_list(out, "stun", m->stuns);
	if (m->hostname)
		jwrite_string(out, "hostname", m->hostname);
	if (m->has_server_key)
		jwrite_string(out, "server_key", key_format(&m->server_key, key));
	if (m->interface[0])
		jwrite_string(out, "interface", m->interface);
	if (m->listen_port)
		jwrite_int(out, "listen_port", m->listen_port);
	if (m->mtu)
		jwrite_int(out, "mtu", m->mtu);
	write_list(out, "external_ips", m->external_ips);
	write_list(out, "interfaces_exclude", m->interfaces_exclude);
	jwrite_bool(out, "psk", m->has_psk);
	jwrite_close(out, '}');
	g_string_append_c(out, '\n');
	return file_write(path, out->str, out->len, 0600);
}

int membership_remove(const char *state_dir)
{
	g_autofree char *path = path_in(state_dir);

	return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

void membership_done(struct membership *m)
{
	g_free(m->url);
	g_free(m->address);
	g_free(m->signal);
	g_free(m->hostname);
	g_strfreev(m->stuns);
	g_strfreev(m->external_ips);
	g_strfreev(m->interfaces_exclude);
	*m = (struct membership){ 0 };
}
