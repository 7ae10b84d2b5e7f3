/* tests/bench/bench_map.c - what a map of a management server costs: from sealed bytes to a value that is
 * compared with the last one. Processor time is the least of several rounds; memory is what malloc hands
 * out at the same time. */
#include <malloc.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "mgmt/envelope.h"
#include "tests/unit/message.h"

enum { ROUNDS = 9 };

/* -- memory --------------------------------------------------------------------------------- */

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t item);
void *__libc_realloc(void *p, size_t n);
void __libc_free(void *p);
static size_t in_use, most_in_use;

static void *counted(void *p)
{
	in_use += malloc_usable_size(p);
	most_in_use = MAX(most_in_use, in_use);
	return p;
}

void *malloc(size_t n)
{
	return counted(__libc_malloc(n));
}

void *calloc(size_t n, size_t item)
{
	return counted(__libc_calloc(n, item));
}

/* Counts the old and the new memory at once, as when it moves. */
void *realloc(void *p, size_t n)
{
	size_t before = malloc_usable_size(p);

	most_in_use = MAX(most_in_use, in_use + n);
	p = __libc_realloc(p, n);
	in_use -= before;
	return counted(p);
}

void free(void *p)
{
	in_use -= malloc_usable_size(p);
	__libc_free(p);
}

/* -- figures -------------------------------------------------------------------------------- */

static bool failed;

static void report(const char *name, double value, double most, const char *unit)
{
	bool good = value <= most;

	failed |= !good;
	printf("%s - %s: %.4g%s (at most %g)\n", good ? "ok" : "not ok", name, value, unit, most);
}

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* -- messages ------------------------------------------------------------------------------- */

struct keys {
	struct wg_key private, public;
};

struct sealed {
	uint8_t *bytes;
	size_t len;
};

static struct keys make_keys(uint8_t seed)
{
	struct keys keys = { .private = { { seed, 1 } } };

	key_public_from_private(&keys.private, &keys.public);
	return keys;
}

static void add_zone(struct message *m, unsigned n)
{
	Management__DNSConfig *dns = message_own(m, g_new(Management__DNSConfig, 1));
	Management__CustomZone *zone = message_own(m, g_new(Management__CustomZone, 1));

	management__dnsconfig__init(dns);
	management__custom_zone__init(zone);
	dns->serviceenable = true;
	dns->customzones = message_own(m, g_new(Management__CustomZone *, 1));
	dns->customzones[dns->n_customzones++] = zone;
	zone->domain = (char *)"example.net.";
	zone->records = message_own(m, g_new(Management__SimpleRecord *, n));
	for (unsigned i = 0; i < n; i++) {
		Management__SimpleRecord *record = message_own(
			m, g_new(Management__SimpleRecord, 1));

		management__simple_record__init(record);
		record->name = message_text(m, "host-%u.example.net.", i);
		record->type = 1;
		record->class_ = (char *)"IN";
		record->ttl = 300;
		record->rdata = message_text(m, "10.%u.%u.%u", i >> 16, i >> 8 & 255, i & 255);
		zone->records[zone->n_records++] = record;
	}
	m->map.dnsconfig = dns;
}

/* As many rules as peers. `changed`: this one has another address, and a rule of its own; -1: none. */
static struct sealed make_message(
	const struct keys *us, const struct keys *server, unsigned n, bool dns, int changed)
{
	struct message m;
	struct sealed sealed;
	g_autofree uint8_t *bytes = NULL;
	size_t len;

	message_begin(&m);
	m.self.address = (char *)"10.200.0.1/8";
	for (unsigned i = 0; i < n; i++) {
		Management__RemotePeerConfig *peer = message_peer(&m, i);
		unsigned address = i == (unsigned)changed ? i + n : i;
		uint8_t *source = message_own(&m, g_malloc(5));
		Management__FirewallRule *rule;

		/* Spread like keys and addresses in life. */
		address = address * 7919 % (1 << 23);
		peer->allowedips[0] = message_text(
			&m, "10.%u.%u.%u/32", address >> 16, address >> 8 & 255, address & 255);
		rule = message_rule(&m,
			message_text(&m, "10.%u.%u.%u", address >> 16, address >> 8 & 255,
				address & 255),
			MANAGEMENT__RULE_PROTOCOL__TCP, message_text(&m, "%u", 20 + i % 7));
		rule->policyid = (ProtobufCBinaryData){ 20, (uint8_t *)"d0p1q2r3s4t5u6v7w8x9" };
		memcpy(source,
			(uint8_t[]){ 10, (uint8_t)(address >> 16), (uint8_t)(address >> 8),
				(uint8_t)address, 32 },
			5);
		message_prefix(&m, rule, source, 5);
	}
	if (dns)
		add_zone(&m, n);
	bytes = message_pack(&m, &len);
	sealed.bytes = envelope_seal(
		&server->private, &server->public, &us->public, bytes, len, &sealed.len);
	message_end(&m);
	return sealed;
}

/* -- measuring ------------------------------------------------------------------------------ */

struct cost {
	double open_ms, read_ms, memory, kept; /* memory in times of the message's size */
};

static void receive(const struct keys *us, const struct keys *server, const struct sealed *sealed,
	const struct update *last, bool is_same, struct update **ret, struct cost *cost)
{
	struct update_limits limits = { &us->public, 1 << 20, 1800000000, last ? last->map : NULL };
	char error[UPDATE_ERROR_MAX];
	size_t before = in_use, len;
	double start = now_ms(), opened;
	uint8_t *plain;

	most_in_use = in_use;
	if (envelope_open(&us->private, &server->public, sealed->bytes, sealed->len, &plain, &len))
		g_error("not opened");
	opened = now_ms();
	if (update_from_sync(plain, len, &limits, ret, error) < 0)
		g_error("%s", error);
	envelope_wipe(plain, len);
	if (last && netmap_is_same(last->map, (*ret)->map) != is_same)
		g_error("the maps compare wrongly");
	cost->open_ms = MIN(cost->open_ms, opened - start);
	cost->read_ms = MIN(cost->read_ms, now_ms() - opened);
	cost->memory = (double)(most_in_use - before) / (double)sealed->len;
	cost->kept = (double)(in_use - before) / (double)sealed->len;
}

/* A first map, then another one that is the same but for `changed`. */
static struct cost measure(unsigned n, bool dns, int changed, struct cost *ret_first)
{
	struct keys us = make_keys(1), server = make_keys(2);
	struct sealed first = make_message(&us, &server, n, dns, -1);
	struct sealed second = make_message(&us, &server, n, dns, changed);
	struct cost again = { 1e9, 1e9, 0, 0 };

	*ret_first = again;
	for (int i = 0; i < ROUNDS; i++) {
		struct update *a = NULL, *b = NULL;

		receive(&us, &server, &first, NULL, false, &a, ret_first);
		if (a->map->n_hosts != n + 1 || a->map->n_rules != n || a->detail->n_left_out)
			g_error("a map that does not hold everything");
		receive(&us, &server, &second, a, changed < 0, &b, &again);
		update_free(a);
		update_free(b);
	}
	printf("       %u peers%s: message of %.2f MB, decryption %.3g ms, decoding %.3g ms, %.2f times "
	       "the message in memory, of which %.2f stay\n",
		n, dns ? " with DNS" : "", (double)first.len / 1e6, ret_first->open_ms,
		ret_first->read_ms, ret_first->memory, ret_first->kept);
	g_free(first.bytes);
	g_free(second.bytes);
	return again;
}

int main(void)
{
	struct cost first, again;
	double all[3];

	again = measure(10000, true, 5000, &first);
	report("10,000 peers, rules and DNS records: decrypt, decode, compare",
		first.open_ms + first.read_ms, 10, " ms");
	report("memory meanwhile / message", first.memory, 4, "");
	report("one changed peer, beyond decryption", again.read_ms, 3, " ms");
	again = measure(10000, false, 5000, &first);
	all[0] = first.open_ms + first.read_ms;
	report("10,000 peers and rules: decrypt, decode, compare", all[0], 10, " ms");
	report("memory meanwhile / message", first.memory, 4, "");
	report("one changed peer, beyond decryption", again.read_ms, 3, " ms");
	again = measure(10000, false, -1, &first);
	report("the same map again, beyond decryption", again.read_ms, 3, " ms");
	measure(1000, false, -1, &first);
	report("1,000 peers and rules: memory meanwhile / message", first.memory, 4, "");
	all[1] = first.open_ms + first.read_ms;
	measure(50000, false, -1, &first);
	report("50,000 peers and rules: memory meanwhile / message", first.memory, 4, "");
	all[2] = first.open_ms + first.read_ms;
	report("growth from 1,000 to 50,000 peers, log-log slope", log(all[2] / all[1]) / log(50),
		1.1, "");
	return failed;
}
