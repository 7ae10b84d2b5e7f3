/* agent/tune/iperf.c - runs iperf3(1) against a peer and reads what it says. */
#include "agent/tune/iperf.h"

#include <errno.h>
#include <glib.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/auto.h"

enum { OUTPUT_MAX = 64 * 1024 * 1024, STOP_MS = 500 };

const char *iperf_name(enum iperf_scenario scenario)
{
	static const char *const names[] = { "tcp_forward", "tcp_reverse", "udp_1200", "udp_64",
		"single_flow" };

	return names[scenario];
}

void iperf_words(enum iperf_scenario scenario, const char *peer, int seconds,
	const char *ret[static IPERF_WORDS_MAX])
{
	static const char *const more[IPERF_SCENARIOS][7] = {
		[IPERF_TCP_FORWARD] = { "-P", "8" },
		[IPERF_TCP_REVERSE] = { "-P", "8", "-R" },
		[IPERF_UDP_1200] = { "-u", "-b", "0", "-l", "1200" },
		[IPERF_UDP_64] = { "-u", "-b", "0", "-l", "64" },
		[IPERF_SINGLE] = { "-P", "1" },
	};
	static char duration[16];
	size_t n = 0;

	snprintf(duration, sizeof(duration), "%d", seconds);
	ret[n++] = "iperf3";
	ret[n++] = "-c";
	ret[n++] = peer;
	ret[n++] = "-t";
	ret[n++] = duration;
	for (const char *const *word = more[scenario]; *word; word++)
		ret[n++] = *word;
	ret[n++] = "-J";
	ret[n] = NULL;
}

static double number(const json_t *object, const char *key)
{
	return json_number_value(json_object_get(object, key));
}

/* UDP tells what was sent and how much of it was lost; TCP, and newer versions, what arrived. */
static void read_sums(const json_t *end, struct iperf_result *ret)
{
	const json_t *sum = json_object_get(end, "sum");
	const json_t *received = json_object_get(end, "sum_received");
	double seconds = number(sum, "seconds"), lost = number(sum, "lost_packets");
	double packets = number(sum, "packets");

	ret->retransmits = (uint64_t)number(json_object_get(end, "sum_sent"), "retransmits");
	ret->bits_per_s = number(received, "bits_per_second");
	if (packets > 0 && seconds > 0) {
		ret->lost = (uint64_t)lost;
		ret->packets_per_s = (packets - lost) / seconds;
		ret->bits_per_s = number(sum, "bits_per_second") * (packets - lost) / packets;
	}
}

int iperf_parse(const char *json, size_t len, struct iperf_result *ret, char error[static 256])
{
	json_t *root = json_loadb(json, len, JSON_DISABLE_EOF_CHECK, NULL);
	const char *said = json_string_value(json_object_get(root, "error"));
	const json_t *end = json_object_get(root, "end");
	int r = 0;

	*ret = (struct iperf_result){ 0 };
	if (said) {
		g_strlcpy(error, said, 256);
		r = -EREMOTEIO;
	} else if (!json_is_object(end) || !json_object_size(end)) {
		g_strlcpy(error, "iperf3 printed something else than its JSON document", 256);
		r = -EBADMSG;
	} else {
		read_sums(end, ret);
	}
	json_decref(root);
	return r;
}

/* What it prints, until it ends. A signal may come between a look at *stop and waiting, so that this is short. */
static void listen_to(GPid pid, int out, const volatile sig_atomic_t *stop, GString *ret)
{
	struct pollfd fd = { .fd = out, .events = POLLIN };
	bool stopped = false;
	char buffer[4096];
	ssize_t n = 1;

	while (n != 0) {
		if (*stop && !stopped)
			stopped = kill(pid, SIGTERM) == 0;
		if (poll(&fd, 1, STOP_MS) <= 0)
			continue;
		n = read(out, buffer, sizeof(buffer));
		if (n > 0 && ret->len < OUTPUT_MAX)
			g_string_append_len(ret, buffer, n);
		else if (n < 0 && errno != EINTR)
			n = 0;
	}
}

int iperf_run(enum iperf_scenario scenario, const char *peer, int seconds,
	const volatile sig_atomic_t *stop, struct iperf_result *ret, char error[static 256])
{
	const GSpawnFlags flags = G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD;
	const char *words[IPERF_WORDS_MAX];
	g_autoptr(GString) said = g_string_new(NULL);
	g_autoptr(GError) problem = NULL;
	_auto_close_ int out = -1;
	GPid pid;

	iperf_words(scenario, peer, seconds, words);
	if (!g_spawn_async_with_pipes(NULL, (char **)words, NULL, flags, NULL, NULL, &pid, NULL,
		    &out, NULL, &problem)) {
		g_strlcpy(error, problem->message, 256);
		return g_error_matches(problem, G_SPAWN_ERROR, G_SPAWN_ERROR_NOENT) ? -ENOENT
										    : -EIO;
	}
	listen_to(pid, out, stop, said);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return iperf_parse(said->str, said->len, ret, error);
}
