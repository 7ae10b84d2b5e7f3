/* tests/fuzz/fuzz_tune.c - any text as files of /proc, twice, and the diagnosis of what happened between. */
/* covers: agent/tune/sample_parse.c */
#include <glib.h>
#include <stdlib.h>
#include <string.h>

#include "agent/tune/diagnose.h"
#include "agent/tune/sample_impl.h"
#include "agent/tune/sample_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void add_irqs(struct sample *s)
{
	for (unsigned number = 0; number < 40; number += 5) {
		struct sample_irq irq = { .number = number, .queue = (int)number / 5 - 1 };

		irq.per_cpu = g_new0(uint64_t, s->cpus->len);
		g_array_append_val(s->irqs, irq);
	}
}

/* The text's parts are separated by '@': the CPUs come first, as nothing is counted without them. */
static struct sample *take(const char *text)
{
	g_auto(GStrv) parts = g_strsplit(text, "@", 7);
	struct sample *s = sample_new();

	for (guint i = 0; parts[i]; i++) {
		if (i == 0) {
			sample_parse_stat(parts[i], s->cpus);
			add_irqs(s);
		} else if (i == 1) {
			sample_parse_softirqs(parts[i], s->cpus);
		} else if (i == 2) {
			sample_parse_softnet(parts[i], s->cpus);
		} else if (i == 3) {
			sample_parse_interrupts(parts[i], s->cpus, s->irqs);
		} else if (i == 4) {
			sample_parse_snmp(parts[i], &s->udp);
		} else if (i == 5) {
			sample_parse_snmp6(parts[i], &s->udp);
			sample_is_drop(parts[i]);
		} else {
			s->conntrack_failed = sample_parse_conntrack(parts[i]);
		}
	}
	return s;
}

static void judge(const struct sample *before, const struct sample *after)
{
	const struct host host = { .n_peers = 1 };
	struct sample *d = sample_subtract(before, after);
	GPtrArray *findings;

	d->mono_ms = 1000;
	findings = diagnose(&host, d, KNOB_ALL);
	g_assert_cmpuint(findings->len, >, 0);
	g_ptr_array_unref(findings);
	sample_free(d);
}

/* Both samples are separated by '#'. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autofree char *text = g_strndup((const char *)data, size);
	char *second = strchr(text, '#');
	struct sample *before, *after;

	if (second)
		*second++ = '\0';
	before = take(text);
	after = take(second ? second : text);
	judge(before, after);
	sample_free(before);
	sample_free(after);
	return 0;
}
