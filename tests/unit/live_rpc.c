/* tests/unit/live_rpc.c - what our gRPC client costs, and whether it loses anything:
 * live_rpc unary|soak|idle URL CA-FILE NUMBER (calls, seconds, streams); prints "name value" lines. */
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "agent/rpc/grpc.h"

#include <glib.h>

enum { STREAMS = 4, SIZE_MAX_SOAK = 1024 * 1024, WARM_UP = 200 };

static struct grpc_channel *channel;
static GMainLoop *main_loop;
static int64_t *latency_us, begun_us;
static unsigned calls, wanted;
static int64_t cpu_begin_us;

static int64_t cpu_us(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * G_USEC_PER_SEC + u.ru_utime.tv_usec +
		u.ru_stime.tv_usec;
}

static void ignore(struct grpc_call *call, const uint8_t *data, size_t len, void *user)
{
}

static void must(const struct grpc_result *result)
{
	if (result->status == GRPC_OK)
		return;
	fprintf(stderr, "status %d: %s\n", (int)result->status, result->text);
	exit(1);
}

/* -- unary ---------------------------------------------------------------------------------- */

static void begin_unary(void);

static void unary_done(struct grpc_call *call, const struct grpc_result *result, void *user)
{
	must(result);
	latency_us[calls++] = g_get_monotonic_time() - begun_us;
	if (calls == WARM_UP)
		cpu_begin_us = cpu_us();
	if (calls == WARM_UP + wanted)
		g_main_loop_quit(main_loop);
	else
		begin_unary();
}

static void begin_unary(void)
{
	static const struct grpc_callbacks callbacks = { .message = ignore, .done = unary_done };
	static const char message[32];

	begun_us = g_get_monotonic_time();
	grpc_unary(channel, "/test.Echo/Unary", message, sizeof(message), 10000, NULL, &callbacks,
		NULL);
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void unary(void)
{
	latency_us = g_new(int64_t, wanted + WARM_UP);
	begin_unary();
	g_main_loop_run(main_loop);
	printf("cpu_us %.2f\n", (double)(cpu_us() - cpu_begin_us) / wanted);
	qsort(latency_us + WARM_UP, wanted, sizeof(*latency_us), compare);
	printf("p50_us %lld\n", (long long)latency_us[WARM_UP + wanted / 2]);
	printf("p99_us %lld\n", (long long)latency_us[WARM_UP + wanted * 99 / 100]);
	g_free(latency_us);
}

/* -- soak ----------------------------------------------------------------------------------- */

/* Each stream sends messages that can be foretold, and compares what comes back. */
struct soak {
	struct grpc_call *call;
	GRand *sizes, *expected;
	uint8_t *buf;
	uint32_t n_sent, n_got;
	bool over;
} soaks[STREAMS];

static int64_t soak_end_us, worst_us, sent_us[STREAMS];
static uint64_t n_unary, bytes, bad;
static unsigned open_streams;

/* Mostly small ones; all sizes come. */
static size_t random_size(GRand *r)
{
	int bits = g_rand_int_range(r, 2, 21);

	return (size_t)g_rand_int_range(r, 4, MAX(5, 1 << bits));
}

static void send_one(struct soak *s)
{
	size_t len = random_size(s->sizes);

	memset(s->buf, (int)s->n_sent, len);
	memcpy(s->buf, &s->n_sent, sizeof(s->n_sent));
	if (grpc_send(s->call, s->buf, len) < 0) {
		fprintf(stderr, "the queue is full with one message\n");
		exit(1);
	}
	s->n_sent++;
	sent_us[s - soaks] = g_get_monotonic_time();
}

static void soak_message(struct grpc_call *call, const uint8_t *data, size_t len, void *user)
{
	struct soak *s = user;
	uint32_t number;

	worst_us = MAX(worst_us, g_get_monotonic_time() - sent_us[s - soaks]);
	bytes += len;
	bad += len != random_size(s->expected) || len < sizeof(number) ||
		(memcpy(&number, data, sizeof(number)), number != s->n_got) ||
		data[len - 1] != (len > sizeof(number) ? (uint8_t)s->n_got : data[len - 1]);
	s->n_got++;
	if (g_get_monotonic_time() < soak_end_us)
		send_one(s);
	else
		grpc_half_close(call);
}

static void soak_done(struct grpc_call *call, const struct grpc_result *result, void *user)
{
	must(result);
	if (--open_streams == 0)
		g_main_loop_quit(main_loop);
}

static void soak_unary_done(struct grpc_call *call, const struct grpc_result *result, void *user)
{
	must(result);
	n_unary++;
}

static gboolean soak_unary(gpointer unused)
{
	static const struct grpc_callbacks callbacks = { .message = ignore,
		.done = soak_unary_done };

	if (g_get_monotonic_time() >= soak_end_us)
		return G_SOURCE_REMOVE;
	grpc_unary(channel, "/test.Echo/Unary", "beside", 6, 10000, NULL, &callbacks, NULL);
	return G_SOURCE_CONTINUE;
}

static void soak(void)
{
	static const struct grpc_callbacks callbacks = { .message = soak_message,
		.done = soak_done };
	uint64_t sent = 0, got = 0;

	soak_end_us = g_get_monotonic_time() + (int64_t)wanted * G_USEC_PER_SEC;
	for (unsigned i = 0; i < STREAMS; i++) {
		struct soak *s = &soaks[i];

		s->sizes = g_rand_new_with_seed(i);
		s->expected = g_rand_new_with_seed(i);
		s->buf = g_malloc(SIZE_MAX_SOAK);
		s->call = grpc_stream(channel, "/test.Echo/Chat", 0, NULL, &callbacks, s);
		open_streams++;
		send_one(s);
	}
	g_timeout_add(50, soak_unary, NULL);
	g_main_loop_run(main_loop);
	for (unsigned i = 0; i < STREAMS; i++) {
		sent += soaks[i].n_sent;
		got += soaks[i].n_got;
		g_rand_free(soaks[i].sizes);
		g_rand_free(soaks[i].expected);
		g_free(soaks[i].buf);
	}
	printf("sent %llu\nlost %lld\nbad %llu\nunary %llu\nmegabytes %llu\nworst_ms %lld\n",
		(unsigned long long)sent, (long long)(sent - got), (unsigned long long)bad,
		(unsigned long long)n_unary, (unsigned long long)(bytes >> 20),
		(long long)(worst_us / 1000));
}

/* -- idle ----------------------------------------------------------------------------------- */

static void memory(const char *when)
{
	g_autofree char *text = NULL;
	static const char *const names[] = { "Rss", "Private_Dirty" };

	malloc_trim(0);
	if (!g_file_get_contents("/proc/self/smaps_rollup", &text, NULL, NULL))
		return;
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *name = g_strdup_printf("\n%s:", names[i]);
		const char *line = strstr(text, name);

		if (line)
			printf("%s_%s %ld\n", when, names[i], atol(line + strlen(name)));
	}
}

static gboolean quit(gpointer unused)
{
	g_main_loop_quit(main_loop);
	return G_SOURCE_REMOVE;
}

/* A connection with streams on which nothing happens, after some calls. */
static void idle(void)
{
	static const struct grpc_callbacks callbacks = { .message = ignore,
		.done = soak_unary_done };

	memory("before");
	grpc_unary(channel, "/test.Echo/Unary", "x", 1, 5000, NULL, &callbacks, NULL);
	for (unsigned i = 0; i < wanted; i++)
		grpc_stream(channel, "/test.Echo/Chat", 0, NULL, &callbacks, NULL);
	g_timeout_add(1000, quit, NULL);
	g_main_loop_run(main_loop);
	memory("idle");
	cpu_begin_us = cpu_us();
	g_timeout_add(5000, quit, NULL);
	g_main_loop_run(main_loop);
	printf("idle_cpu_us_per_s %lld\n", (long long)(cpu_us() - cpu_begin_us) / 5);
}

int main(int argc, char **argv)
{
	struct grpc_channel_options options = { 0 };

	if (argc != 5)
		return 2;
	signal(SIGPIPE, SIG_IGN);
	mallopt(M_MMAP_THRESHOLD, 64 * 1024); /* as the daemon does */
	mallopt(M_TRIM_THRESHOLD, 64 * 1024);
	options.stream.url = argv[2];
	options.stream.ca_file = argv[3];
	wanted = (unsigned)atoi(argv[4]);
	main_loop = g_main_loop_new(NULL, FALSE);
	channel = grpc_channel_new(&options);
	if (!strcmp(argv[1], "unary"))
		unary();
	else if (!strcmp(argv[1], "soak"))
		soak();
	else
		idle();
	grpc_channel_free(channel);
	g_main_loop_unref(main_loop);
	return 0;
}
