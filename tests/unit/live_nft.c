/* tests/unit/live_nft.c - our nftables table by hand, for scenarios: live_nft IFNAME COMMAND [WORD...]. */
#include <errno.h>
#include <glib.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "netlink/nflog.h"
#include "netlink/nft.h"

enum { PORT = 51820 }; /* WireGuard's, and the group */

static struct nft *nft;
static char table[NFT_TABLE_NAME_MAX];

static int report(int r)
{
	if (r < 0)
		printf("%s (%s)\n", strerror(-r), nft_error_text(nft));
	return r;
}

static double now_ms(void)
{
	return (double)g_get_monotonic_time() / 1000;
}

/* -- commands ------------------------------------------------------------------------------- */

/* Own addresses, and parts of the table. */
static int apply(const char *ifname, char **words)
{
	struct prefix addresses[8];
	struct nft_config config = {
		.addresses = addresses,
		.lazy = { .listen_port = PORT, .log_group = PORT },
	};

	g_strlcpy(config.table, table, sizeof(config.table));
	g_strlcpy(config.ifname, ifname, sizeof(config.ifname));
	config.ifindex = if_nametoindex(ifname);
	for (; *words; words++) {
		config.lazy.counts |= !strcmp(*words, "counts");
		config.lazy.logs |= !strcmp(*words, "logs");
		config.lazy.refuses |= !strcmp(*words, "refuses");
		config.lazy.untracked |= !strcmp(*words, "untracked");
		if (config.n_addresses < G_N_ELEMENTS(addresses) &&
			prefix_parse(*words, strlen(*words), &addresses[config.n_addresses]) == 0)
			config.n_addresses++;
	}
	return nft_apply(nft, &config);
}

static struct endpoint endpoint(const char *text)
{
	struct endpoint e;

	if (endpoint_parse(text, strlen(text), &e) < 0)
		exit(2);
	return e;
}

/* "ADDRESS", or "FIRST-LAST". */
static struct nft_range range(const char *text)
{
	const char *dash = strchr(text, '-'), *last = dash ? dash + 1 : text;
	struct prefix a, b;
	struct nft_range ret = { 0 };

	if (prefix_parse(text, dash ? (size_t)(dash - text) : strlen(text), &a) < 0 ||
		prefix_parse(last, strlen(last), &b) < 0)
		exit(2);
	ret.family = a.family;
	memcpy(ret.first, a.addr, sizeof(ret.first));
	memcpy(ret.last, b.addr, sizeof(ret.last));
	return ret;
}

static int change(char **words)
{
	enum { N = 16 };
	struct nft_range count[N], uncount[N];
	struct endpoint watch[N], refuse[N];
	struct nft_change c = {
		.count = count, .uncount = uncount, .watch = watch, .refuse = refuse
	};

	for (; *words; words++) {
		const char *value = strchr(*words, '=') + 1;

		if (g_str_has_prefix(*words, "count="))
			count[c.n_count++] = range(value);
		else if (g_str_has_prefix(*words, "uncount="))
			uncount[c.n_uncount++] = range(value);
		else if (g_str_has_prefix(*words, "watch="))
			watch[c.n_watch++] = endpoint(value);
		else
			refuse[c.n_refuse++] = endpoint(value);
	}
	return nft_change(nft, table, &c);
}

static void print_counter(const struct prefix *first, uint64_t packets, void *user)
{
	char text[PREFIX_STRLEN];

	printf("%s %ju\n", prefix_format(first, text), (uintmax_t)packets);
}

static int print_fingerprint(void)
{
	uint64_t value = 0;
	int r = nft_fingerprint(nft, table, &value);

	printf("%jx\n", (uintmax_t)value);
	return r;
}

/* -- logged packets ------------------------------------------------------------------------- */

static void print_packet(const struct nflog_packet *packet, void *user)
{
	const char *kind = packet->kind == NFLOG_INNER ? "inner" : "answer";
	char text[ENDPOINT_STRLEN];

	printf("%.0f %s %s\n", now_ms(), kind, endpoint_format(&packet->from, text));
	fflush(stdout);
}

static int print_logged(double seconds)
{
	double end = now_ms() + 1000 * seconds;
	struct nflog *log;
	int r = nflog_open(PORT, &log);

	if (r < 0)
		return r;
	printf("%.0f open\n", now_ms());
	fflush(stdout);
	while (r == 0 && now_ms() < end) {
		struct pollfd fd = { nflog_fd(log), POLLIN, 0 };

		if (poll(&fd, 1, (int)(end - now_ms()) + 1) > 0)
			r = nflog_read(log, print_packet, NULL);
	}
	nflog_close(log);
	return r;
}

/* -- many ----------------------------------------------------------------------------------- */

static void count_one(const struct prefix *first, uint64_t packets, void *user)
{
	++*(size_t *)user;
}

static int time_many(size_t n)
{
	g_autofree struct nft_range *ranges = g_new0(struct nft_range, n);
	struct nft_change c = { .count = ranges, .n_count = n };
	double start = now_ms();
	size_t found = 0;
	int r;

	for (uint32_t i = 0; i < n; i++) { /* hosts, nets that touch, and nets that do not */
		struct nft_range *range = &ranges[i];
		uint32_t first = GUINT32_TO_BE(UINT32_C(0x64400000) + i * 8);
		uint32_t last = GUINT32_TO_BE(UINT32_C(0x64400000) + i * 8 +
			(i % 2                  ? 0
					: i % 4 ? 7
						: 3));

		range->family = i % 8 < 4 ? AF_INET : AF_INET6;
		memcpy(range->first, &first, 4);
		memcpy(range->last, &last, 4);
	}
	r = nft_change(nft, table, &c);
	printf("%zu ranges added in %.0f ms", n, now_ms() - start);
	start = now_ms();
	if (r == 0)
		r = nft_counters(nft, table, count_one, &found);
	printf(", %zu read in %.0f ms", found, now_ms() - start);
	start = now_ms();
	c = (struct nft_change){ .uncount = ranges, .n_uncount = n };
	if (r == 0)
		r = nft_change(nft, table, &c);
	printf(", removed in %.0f ms\n", now_ms() - start);
	return r;
}

int main(int argc, char **argv)
{
	const char *command = argc > 2 ? argv[2] : "", *word = argc > 3 ? argv[3] : "0";
	struct endpoint from;
	int r = -EINVAL;

	if (argc < 3 || nft_open(&nft) < 0)
		return 2;
	snprintf(table, sizeof(table), "lapwing-%s", argv[1]);
	if (!strcmp(command, "apply"))
		r = apply(argv[1], argv + 3);
	else if (!strcmp(command, "change"))
		r = change(argv + 3);
	else if (!strcmp(command, "counters"))
		r = nft_counters(nft, table, print_counter, NULL);
	else if (!strcmp(command, "heard"))
		from = endpoint(word), r = nft_heard(nft, table, &from), printf("%d\n", r);
	else if (!strcmp(command, "fingerprint"))
		r = print_fingerprint();
	else if (!strcmp(command, "listen"))
		r = print_logged(atof(word));
	else if (!strcmp(command, "many"))
		r = time_many((size_t)atoi(word));
	report(r);
	nft_close(nft);
	return r < 0;
}
