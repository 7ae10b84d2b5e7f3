/* tests/unit/live_acl.c - the table that says what may come in, by hand, for scenarios:
 * live_acl IFNAME apply | remove | fingerprint | replace COUNT; rules come line by line on standard input:
 * "accept 100.64.0.2 tcp 8000-8010", "drop fd00::/64". */
#include <errno.h>
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "netlink/acl.h"

static struct nft *nft;
static struct acl_config config;

static int report(int r)
{
	if (r < 0)
		printf("%s (%s)\n", strerror(-r), nft_error_text(nft));
	return r;
}

static uint8_t protocol(const char *name, uint8_t family)
{
	if (!strcmp(name, "tcp"))
		return IPPROTO_TCP;
	if (!strcmp(name, "udp"))
		return IPPROTO_UDP;
	if (!strcmp(name, "icmp"))
		return family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6;
	return (uint8_t)atoi(name);
}

static bool read_rule(const char *line, struct filter_rule *ret)
{
	char action[16], source[PREFIX_STRLEN], name[16] = "";
	int n;

	*ret = (struct filter_rule){ 0 };
	n = sscanf(line, "%15s %47s %15s %hu-%hu", action, source, name, &ret->first_port,
		&ret->last_port);
	if (n < 2 || prefix_parse(source, strlen(source), &ret->source) < 0)
		return false;
	if (n == 4)
		ret->last_port = ret->first_port;
	ret->drop = !strcmp(action, "drop");
	ret->protocol = protocol(name, ret->source.family);
	return true;
}

static GArray *read_rules(void)
{
	GArray *rules = g_array_new(FALSE, FALSE, sizeof(struct filter_rule));
	struct filter_rule rule;
	char line[256];

	while (fgets(line, sizeof(line), stdin)) {
		if (!read_rule(line, &rule))
			exit(2);
		g_array_append_val(rules, rule);
	}
	return rules;
}

/* Some times in a row, every other time with the rules that are not meant to hold always: the first stays. */
static int replace(unsigned count)
{
	size_t n = config.n_rules;
	int64_t begun, worst = 0;
	int r = 0;

	for (unsigned i = 0; i < count && r == 0; i++) {
		config.n_rules = i % 2 ? n : 1;
		begun = g_get_monotonic_time();
		r = acl_apply(nft, &config);
		worst = MAX(worst, g_get_monotonic_time() - begun);
	}
	printf("%.1f ms at most\n", (double)worst / 1000);
	return report(r);
}

static int run(const char *command, char **words)
{
	int64_t begun = g_get_monotonic_time();
	uint64_t fingerprint = 0;
	int r;

	if (!strcmp(command, "remove"))
		return report(nft_remove(nft, config.table));
	if (!strcmp(command, "fingerprint")) {
		r = report(nft_fingerprint(nft, config.table, &fingerprint));
		printf("%" G_GINT64_MODIFIER "x\n", fingerprint);
		return r;
	}
	if (!strcmp(command, "replace"))
		return replace((unsigned)atoi(words[0]));
	r = report(acl_apply(nft, &config));
	printf("%zu rules in %.1f ms\n", config.n_rules,
		(double)(g_get_monotonic_time() - begun) / 1000);
	return r;
}

int main(int argc, char **argv)
{
	g_autoptr(GArray) rules = NULL;
	int r;

	if (argc < 3 || nft_open(&nft) < 0)
		return 2;
	snprintf(config.table, sizeof(config.table), "lapwing-%.15s-acl", argv[1]);
	g_strlcpy(config.ifname, argv[1], sizeof(config.ifname));
	rules = read_rules();
	config.rules = (const struct filter_rule *)(void *)rules->data;
	config.n_rules = rules->len;
	r = run(argv[2], argv + 3);
	nft_close(nft);
	return r < 0;
}
