/* tests/unit/test_measure.c - what iperf3 printed, and whether a knob has helped. */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "agent/tune/measure.h"

static int parse(const char *json, struct iperf_result *ret, char error[static 256])
{
	return iperf_parse(json, strlen(json), ret, error);
}

static void test_parse(void)
{
	struct iperf_result r;
	char error[256];

	g_assert_cmpint(parse("{\"end\":{\"sum_sent\":{\"bits_per_second\":5e9,\"retransmits\":7},"
			      "\"sum_received\":{\"bits_per_second\":4.5e9}}}",
				&r, error),
		==, 0);
	/* Versions before 3.13 name something twice. */
	g_assert_cmpint(parse("{\"start\":{\"sock_bufsize\":0,\"sock_bufsize\":0},"
			      "\"end\":{\"sum_sent\":{\"retransmits\":7},"
			      "\"sum_received\":{\"bits_per_second\":4.5e9}}}",
				&r, error),
		==, 0);
	g_assert_cmpfloat(r.bits_per_s, ==, 4.5e9);
	g_assert_cmpuint(r.retransmits, ==, 7);
	g_assert_cmpfloat(r.packets_per_s, ==, 0);
	/* What was lost did not arrive. */
	g_assert_cmpint(parse("{\"end\":{\"sum\":{\"seconds\":10,\"bits_per_second\":1000000,"
			      "\"lost_packets\":250,\"packets\":1000}}}",
				&r, error),
		==, 0);
	g_assert_cmpfloat(r.bits_per_s, ==, 750000);
	g_assert_cmpfloat(r.packets_per_s, ==, 75);
	g_assert_cmpuint(r.lost, ==, 250);
	g_assert_cmpint(
		parse("{\"end\":{},\"error\":\"unable to connect\"}", &r, error), ==, -EREMOTEIO);
	g_assert_cmpstr(error, ==, "unable to connect");
	g_assert_cmpint(parse("", &r, error), ==, -EBADMSG);
	g_assert_cmpint(parse("[1]", &r, error), ==, -EBADMSG);
	g_assert_cmpint(parse("{\"end\":{}}", &r, error), ==, -EBADMSG);
	g_assert_cmpint(parse("{\"end\":{\"sum\":3}}", &r, error), ==, 0);
}

static void test_words(void)
{
	const char *words[IPERF_WORDS_MAX];
	g_autofree char *line = NULL;

	iperf_words(IPERF_UDP_64, "10.0.0.2", 30, words);
	line = g_strjoinv(" ", (char **)words);
	g_assert_cmpstr(line, ==, "iperf3 -c 10.0.0.2 -t 30 -u -b 0 -l 64 -J");
	for (enum iperf_scenario s = 0; s < IPERF_SCENARIOS; s++)
		g_assert_true(*iperf_name(s));
}

static struct measurement run(double bits_per_s, uint64_t drops)
{
	return (struct measurement){ .traffic.bits_per_s = bits_per_s, .softnet_drops = drops };
}

static enum verdict judge(
	struct measurement before, struct measurement with, struct measurement after)
{
	return measure_judge(&before, &with, &after, 0.05);
}

static void test_judge(void)
{
	const struct measurement same[] = { run(100, 0), run(110, 0), run(90, 0) };
	const struct measurement still[] = { run(100, 0), run(100, 0) };

	g_assert_cmpfloat_with_epsilon(measure_noise(same, 3), 0.2, 1e-9);
	g_assert_cmpfloat(measure_noise(still, 2), ==, MEASURE_NOISE_MIN);
	g_assert_cmpint(judge(run(100, 0), run(120, 0), run(100, 0)), ==, VERDICT_KEPT);
	g_assert_cmpint(judge(run(100, 0), run(96, 0), run(100, 0)), ==, VERDICT_KEPT);
	g_assert_cmpint(judge(run(100, 0), run(94, 0), run(100, 0)), ==, VERDICT_SLOWER);
	/* A host that gets slower by itself is no fault of the knob. */
	g_assert_cmpint(judge(run(100, 0), run(92, 0), run(80, 0)), ==, VERDICT_KEPT);
	g_assert_cmpint(judge(run(100, 50), run(120, 150), run(100, 0)), ==, VERDICT_KEPT);
	g_assert_cmpint(judge(run(100, 50), run(120, 151), run(100, 0)), ==, VERDICT_DROPS);
}

static void test_note(void)
{
	struct sample_cpu cpus[] = {
		{ .cpu = 0, .user = 10, .system = 10, .softirq = 20, .idle = 60 },
		{ .cpu = 3, .softirq = 80, .irq = 8, .idle = 12, .dropped = 5 },
	};
	struct sample_link link = { .rx_dropped = 1, .tx_dropped = 2, .nic_drops = 3 };
	struct sample delta = { .mono_ms = 2500,
		.cpus = g_array_new(FALSE, FALSE, sizeof(struct sample_cpu)),
		.links = g_array_new(FALSE, FALSE, sizeof(struct sample_link)),
		.udp.in_errors = 4 };
	struct measurement m = { 0 };

	g_array_append_vals(delta.cpus, cpus, 2);
	g_array_append_vals(delta.links, &link, 1);
	measurement_note(&m, &delta);
	g_assert_cmpfloat(m.seconds, ==, 2.5);
	g_assert_cmpfloat(m.top_softirq, ==, 88);
	g_assert_cmpuint(m.top_cpu, ==, 3);
	g_assert_cmpfloat(m.busy, ==, 64);
	g_assert_cmpuint(measurement_drops(&m), ==, 15);
	g_assert_cmpuint(m.cores->len, ==, 2);
	measurement_clear(&m);
	g_array_unref(delta.cpus);
	g_array_unref(delta.links);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/measure/parse", test_parse);
	g_test_add_func("/measure/words", test_words);
	g_test_add_func("/measure/judge", test_judge);
	g_test_add_func("/measure/note", test_note);
	return g_test_run();
}
