/* agent/tune/iperf.c - runs iperf3(1) against a peer and reads what it says. */
#include "agent/tune/iperf.h"

#include <errno.h>
#include <glib.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

enum { OUTPUT_MAX = 64 * 1024 * 1024 };

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

int iperf_run(enum iperf_scenario scenario, const char *peer, int seconds, struct iperf_result *ret,
	char error[static 256])
{
	const char *words[IPERF_WORDS_MAX];
	g_autofree char *out = NULL, *err = NULL;
	g_autoptr(GError) problem = NULL;
	int status;

	iperf_words(scenario, peer, seconds, words);
	if (!g_spawn_sync(NULL, (char **)words, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &out, &err,
		    &status, &problem)) {
		g_strlcpy(error, problem->message, 256);
		return g_error_matches(problem, G_SPAWN_ERROR, G_SPAWN_ERROR_NOENT) ? -ENOENT
										    : -EIO;
	}
	if (!*out && *err) {
		g_strlcpy(error, g_strchomp(err), 256);
		return -EREMOTEIO;
	}
	return iperf_parse(out, MIN(strlen(out), OUTPUT_MAX), ret, error);
}
