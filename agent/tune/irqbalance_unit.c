/* agent/tune/irqbalance_unit.c - has systemd stop or start irqbalance. */
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/tune/irqbalance.h"

#define SYSTEMD "org.freedesktop.systemd1"
#define MANAGER_PATH "/org/freedesktop/systemd1"
#define UNIT_PATH MANAGER_PATH "/unit/irqbalance_2eservice"
#define FAKE "irqbalance" /* of a made-up host */

enum { LIMIT_S = 10, STEP_US = 20 * 1000 };

struct bus;

/* What we use of libsystemd, as it declares it. */
struct systemd {
	void *library;
	struct bus *bus;
	int (*open)(struct bus **ret);
	struct bus *(*close)(struct bus *bus);
	int (*call)(struct bus *bus, const char *destination, const char *path,
		const char *interface, const char *member, void *error, void **reply,
		const char *types, ...);
	int (*get_string)(struct bus *bus, const char *destination, const char *path,
		const char *interface, const char *member, void *error, char **ret);
};

static bool find(void *library, const char *name, void *ret)
{
	void *symbol = dlsym(library, name);

	memcpy(ret, &symbol, sizeof(symbol));
	return symbol;
}

static int systemd_open(struct systemd *s)
{
	s->library = dlopen("libsystemd.so.0", RTLD_NOW | RTLD_LOCAL);
	if (!s->library || !find(s->library, "sd_bus_open_system", &s->open) ||
		!find(s->library, "sd_bus_flush_close_unref", &s->close) ||
		!find(s->library, "sd_bus_call_method", &s->call) ||
		!find(s->library, "sd_bus_get_property_string", &s->get_string))
		return -EOPNOTSUPP;
	return s->open(&s->bus) < 0 ? -EOPNOTSUPP : 0;
}

static void systemd_close(struct systemd *s)
{
	if (s->bus)
		s->close(s->bus);
	if (s->library)
		dlclose(s->library);
}

/* Is the unit's property this text? A negative errno: it could not be asked for. */
static int unit_is(struct systemd *s, const char *property, const char *text)
{
	char *value = NULL;
	int r = s->get_string(s->bus, SYSTEMD, UNIT_PATH, SYSTEMD ".Unit", property, NULL, &value);

	if (r >= 0)
		r = strcmp(value, text) == 0;
	free(value);
	return r;
}

/* systemd answers when the job is queued. */
static int wait_until_done(struct systemd *s, bool start)
{
	for (int i = 0; i < LIMIT_S * G_USEC_PER_SEC / STEP_US; i++) {
		int is_done = unit_is(s, "ActiveState", start ? "active" : "inactive");
		int has_failed = is_done ? 0 : unit_is(s, "ActiveState", "failed");

		if (is_done < 0 || has_failed < 0)
			return is_done < 0 ? is_done : has_failed;
		if (is_done || (has_failed && !start))
			return 0;
		if (has_failed)
			return -EIO;
		g_usleep(STEP_US);
	}
	return -ETIMEDOUT;
}

static int change(struct systemd *s, bool start)
{
	int r = systemd_open(s);

	if (r < 0)
		return r;
	r = unit_is(s, "LoadState", "loaded");
	if (r <= 0)
		return r < 0 ? -EOPNOTSUPP : -ENOENT;
	r = s->call(s->bus, SYSTEMD, MANAGER_PATH, SYSTEMD ".Manager",
		start ? "StartUnit" : "StopUnit", NULL, NULL, "ss", "irqbalance.service",
		"replace");
	return r < 0 ? r : wait_until_done(s, start);
}

/* The word before what it does otherwise. */
static int change_file(struct tree *tree, bool start)
{
	static const char stopped[] = "stopped ";
	g_autofree char *text = NULL, *changed = NULL;
	int r = tree_read(tree, FAKE, &text);

	if (r < 0)
		return r;
	if (g_str_has_prefix(text, stopped) != start)
		return 0;
	changed = start ? g_strdup(text + strlen(stopped)) : g_strconcat(stopped, text, NULL);
	return tree_write(tree, FAKE, changed);
}

static int change_any(struct tree *tree, bool start)
{
	struct systemd s = { 0 };
	int r;

	if (!tree_is_real(tree))
		return change_file(tree, start);
	r = change(&s, start);
	systemd_close(&s);
	return r;
}

int irqbalance_stop(struct tree *tree)
{
	return change_any(tree, false);
}

int irqbalance_start(struct tree *tree)
{
	return change_any(tree, true);
}
