/* agent/cli/tune_start.c - what tune is to do at the start of a host. */
#include "agent/cli/tune_start.h"

#include <errno.h>

#include "agent/config.h"

#define CONFIG_PATH "/etc/lapwing/lapwing.json"

static void take_config(const struct config *c, struct persist_options *ret)
{
	*ret = (struct persist_options){
		.only = c->tune.only,
		.skip = c->tune.skip,
		.irqbalance = c->tune.irqbalance,
		.underlay = c->tune.underlay[0] ? g_strdup(c->tune.underlay) : NULL,
	};
}

static enum exit_code load_config(
	const char *root, struct persist_options *ret, bool *ret_wanted, struct failure *f)
{
	g_autofree char *path = g_build_filename(root, CONFIG_PATH, NULL);
	char error[CONFIG_ERROR_MAX];
	struct config config;
	int r = config_load(path, &config, error);

	if (r == -ENOENT)
		return EXIT_OK;
	if (r < 0)
		return failure_set(f, r == -EACCES ? EXIT_PERMISSION : EXIT_CONFIG,
			"see lapwing.json(5)", "%s", error);
	*ret_wanted = config.tune.apply_on_start;
	if (*ret_wanted)
		take_config(&config, ret);
	config_done(&config);
	return EXIT_OK;
}

static enum exit_code load_persisted(
	const char *root, struct persist_options *ret, bool *ret_wanted, struct failure *f)
{
	char error[256];
	int r = persist_load(root, ret, error);

	*ret_wanted = r == 0;
	if (r == 0 || r == -ENOENT)
		return EXIT_OK;
	return failure_set(f, r == -EACCES ? EXIT_PERMISSION : EXIT_CONFIG,
		"lapwing tune apply --persist writes it again", "%s", error);
}

enum exit_code tune_start_load(
	struct tune_options *o, struct tune_start *ret, bool *ret_wanted, struct failure *f)
{
	struct persist_options *p = &ret->options;
	enum exit_code code;

	*ret_wanted = false;
	code = load_config(o->root, p, ret_wanted, f);
	if (!code && !*ret_wanted)
		code = load_persisted(o->root, p, ret_wanted, f);
	if (code || !*ret_wanted)
		return code;
	o->only = p->only;
	o->skip = p->skip;
	o->irqbalance = p->irqbalance;
	o->force = p->force;
	o->disruptive = p->disruptive;
	o->underlay = p->underlay;
	o->iface = p->iface;
	return EXIT_OK;
}

void tune_start_clear(struct tune_start *start)
{
	persist_options_clear(&start->options);
}
