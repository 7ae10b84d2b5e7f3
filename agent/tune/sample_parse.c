/* agent/tune/sample_parse.c - files of /proc into a sample. */
#include "agent/tune/sample_parse.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *skip_blanks(const char *at)
{
	return at + strspn(at, " \t");
}

static const char *next_line(const char *at)
{
	at += strcspn(at, "\n");
	return *at ? at + 1 : at;
}

/* A number of this line behind blanks; false, and *at stays, where there is none. */
static bool take_number(const char **at, int base, uint64_t *ret)
{
	const char *begin = skip_blanks(*at);
	char *end;

	if (!(base == 16 ? g_ascii_isxdigit(*begin) : g_ascii_isdigit(*begin)))
		return false;
	*ret = strtoull(begin, &end, base);
	*at = end;
	return true;
}

/* "word" behind blanks, then anything that is no part of it. */
static bool take_word(const char **at, const char *word)
{
	const char *begin = skip_blanks(*at);
	size_t len = strlen(word);

	if (strncmp(begin, word, len))
		return false;
	*at = begin + len;
	return true;
}

/* Where it is in the array; -1: it is not. */
static int find_cpu(const GArray *cpus, uint64_t cpu)
{
	guint low = 0, high = cpus->len;

	while (low < high) {
		guint middle = (low + high) / 2;

		if (g_array_index(cpus, struct sample_cpu, middle).cpu < cpu)
			low = middle + 1;
		else
			high = middle;
	}
	return low < cpus->len && g_array_index(cpus, struct sample_cpu, low).cpu == cpu ? (int)low
											 : -1;
}

/* The head of a table, "CPU0 CPU2": for each column where its CPU is in the array. */
static GArray *take_columns(const char *at, const GArray *cpus)
{
	GArray *columns = g_array_new(FALSE, FALSE, sizeof(int));
	uint64_t cpu;

	while (columns->len < CPUSET_MAX && take_word(&at, "CPU") && take_number(&at, 10, &cpu)) {
		int position = find_cpu(cpus, cpu);

		g_array_append_val(columns, position);
	}
	return columns;
}

/* -- processors ------------------------------------------------------------------------------- */

/* user nice system idle iowait irq softirq steal; guests are in user and nice already. */
static bool parse_cpu(const char *at, struct sample_cpu *ret)
{
	struct sample_cpu c = { 0 };
	uint64_t number, ticks[8] = { 0 };

	if (!take_word(&at, "cpu") || !g_ascii_isdigit(*at) || !take_number(&at, 10, &number) ||
		number >= CPUSET_MAX)
		return false;
	for (size_t i = 0; i < G_N_ELEMENTS(ticks); i++)
		if (!take_number(&at, 10, &ticks[i]))
			break;
	c.cpu = (unsigned)number;
	c.user = ticks[0] + ticks[1];
	c.system = ticks[2];
	c.idle = ticks[3] + ticks[4];
	c.irq = ticks[5];
	c.softirq = ticks[6];
	c.other = ticks[7];
	*ret = c;
	return true;
}

void sample_parse_stat(const char *text, GArray *cpus)
{
	struct sample_cpu cpu;
	int64_t last = -1;

	for (; *text; text = next_line(text))
		if (parse_cpu(text, &cpu) && cpu.cpu > last) {
			g_array_append_val(cpus, cpu);
			last = cpu.cpu;
		}
}

static void parse_softirq(const char *at, const GArray *columns, GArray *cpus, size_t offset_in_cpu)
{
	uint64_t n;

	for (guint i = 0; i < columns->len && take_number(&at, 10, &n); i++) {
		int position = g_array_index(columns, int, i);

		if (position >= 0)
			G_STRUCT_MEMBER(uint64_t, &g_array_index(cpus, struct sample_cpu, position),
				offset_in_cpu) = n;
	}
}

void sample_parse_softirqs(const char *text, GArray *cpus)
{
	g_autoptr(GArray) columns = take_columns(text, cpus);

	for (; *text; text = next_line(text)) {
		const char *at = text;

		if (take_word(&at, "NET_RX:"))
			parse_softirq(
				at, columns, cpus, G_STRUCT_OFFSET(struct sample_cpu, net_rx));
		else if (take_word(&at, "NET_TX:"))
			parse_softirq(
				at, columns, cpus, G_STRUCT_OFFSET(struct sample_cpu, net_tx));
	}
}

/* The thirteenth column is the CPU's number; kernels before 5.10 have none and list who is online. */
void sample_parse_softnet(const char *text, GArray *cpus)
{
	enum { PROCESSED, DROPPED, SQUEEZED, CPU = 12, COLUMNS };

	for (unsigned line = 0; *text; text = next_line(text), line++) {
		uint64_t columns[COLUMNS] = { 0 };
		struct sample_cpu *cpu;
		const char *at = text;
		int n = 0, position;

		while (n < COLUMNS && take_number(&at, 16, &columns[n]))
			n++;
		position = n == COLUMNS ? find_cpu(cpus, columns[CPU]) : (int)line;
		if (n <= SQUEEZED || position < 0 || position >= (int)cpus->len)
			continue;
		cpu = &g_array_index(cpus, struct sample_cpu, position);
		cpu->processed = columns[PROCESSED];
		cpu->dropped = columns[DROPPED];
		cpu->squeezed = columns[SQUEEZED];
	}
}

/* -- interrupts ------------------------------------------------------------------------------- */

static void parse_irq(const char *at, const GArray *columns, uint64_t *per_cpu)
{
	uint64_t n;

	for (guint i = 0; i < columns->len && take_number(&at, 10, &n); i++)
		if (g_array_index(columns, int, i) >= 0)
			per_cpu[g_array_index(columns, int, i)] = n;
}

void sample_parse_interrupts(const char *text, const GArray *cpus, GArray *irqs)
{
	g_autoptr(GArray) columns = take_columns(text, cpus);
	g_autoptr(GHashTable) wanted = g_hash_table_new(NULL, NULL);
	uint64_t number;

	for (guint i = 0; i < irqs->len; i++) {
		struct sample_irq *irq = &g_array_index(irqs, struct sample_irq, i);

		g_hash_table_insert(wanted, GUINT_TO_POINTER(irq->number), irq);
	}
	for (; *text; text = next_line(text)) {
		const char *at = text;
		const struct sample_irq *irq = NULL;

		if (take_number(&at, 10, &number) && *at == ':' && number <= UINT_MAX)
			irq = g_hash_table_lookup(wanted, GUINT_TO_POINTER((guint)number));
		if (irq)
			parse_irq(at + 1, columns, irq->per_cpu);
	}
}

/* -- protocols -------------------------------------------------------------------------------- */

/* Which number a counter of UDP adds to; NULL: none. */
static uint64_t *udp_counter(struct sample_udp *udp, const char *name, size_t len)
{
	const struct {
		const char *name;
		uint64_t *counter;
	} counters[] = {
		{ "InErrors", &udp->in_errors },
		{ "RcvbufErrors", &udp->rcvbuf_errors },
		{ "SndbufErrors", &udp->sndbuf_errors },
		{ "NoPorts", &udp->no_ports },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(counters); i++)
		if (strlen(counters[i].name) == len && !strncmp(counters[i].name, name, len))
			return counters[i].counter;
	return NULL;
}

/* A line of names, below it one of numbers, both behind "Udp:". */
void sample_parse_snmp(const char *text, struct sample_udp *udp)
{
	const char *names = text, *numbers;
	uint64_t n;

	while (*names && !take_word(&names, "Udp:"))
		names = next_line(names);
	numbers = next_line(names);
	if (!take_word(&numbers, "Udp:"))
		return;
	while (take_number(&numbers, 10, &n)) {
		size_t len;
		uint64_t *counter;

		names = skip_blanks(names);
		len = strcspn(names, " \t\n");
		counter = udp_counter(udp, names, len);
		if (counter)
			*counter += n;
		names += len;
	}
}

/* "Udp6InErrors   0" */
void sample_parse_snmp6(const char *text, struct sample_udp *udp)
{
	for (; *text; text = next_line(text)) {
		const char *at = text;
		uint64_t *counter, n;
		size_t len;

		if (!take_word(&at, "Udp6"))
			continue;
		len = strcspn(at, " \t\n");
		counter = udp_counter(udp, at, len);
		at += len;
		if (counter && take_number(&at, 10, &n))
			*counter += n;
	}
}

/* Names, then a line of hexadecimal numbers for each CPU. */
uint64_t sample_parse_conntrack(const char *text)
{
	static const char *const wanted[] = { "insert_failed", "drop", "early_drop", NULL };
	g_autofree char *head = g_strndup(text, strcspn(text, "\n"));
	g_auto(GStrv) names = g_strsplit_set(g_strstrip(head), " \t", -1);
	uint64_t sum = 0, n;

	for (text = next_line(text); *text; text = next_line(text)) {
		const char *at = text;

		for (char **name = names; *name; name++) {
			if (!**name) /* between two blanks */
				continue;
			if (!take_number(&at, 16, &n))
				break;
			if (g_strv_contains(wanted, *name))
				sum += n;
		}
	}
	return sum;
}

/* XDP's are meant to be. */
bool sample_is_drop(const char *statistic)
{
	static const char *const words[] = { "drop", "miss", "discard", "no_buf", "out_of_buf",
		"no_dma", "allowance_exceeded" };

	if (strstr(statistic, "xdp"))
		return false;
	for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
		if (strstr(statistic, words[i]))
			return true;
	return false;
}
