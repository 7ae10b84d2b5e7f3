/* agent/runtime.c - what the daemon itself costs. Cheap: a few files of /proc, and two looks at the clock a turn. */
#include "agent/runtime.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "agent/base/histogram.h"
#include "agent/base/jwrite.h"

/* A poll function has no data of its own, and there is one main context. */
static struct {
	int64_t awake_us; /* since when this turn runs; 0: none has begun */
	uint64_t turns, wakeups; /* wakeups: turns before which it slept */
	int64_t longest_us;
	struct histogram turn;
} loop;

/* -- loop ----------------------------------------------------------------------------------- */

/* Whatever comes in during a turn waits for its end. */
static void end_turn(void)
{
	int64_t us = g_get_monotonic_time() - loop.awake_us;

	loop.longest_us = MAX(loop.longest_us, us);
	histogram_add(&loop.turn, us / 1000);
}

static gint count_poll(GPollFD *fds, guint n, gint timeout)
{
	gint ready;

	if (loop.awake_us)
		end_turn();
	ready = g_poll(fds, n, timeout);
	loop.awake_us = g_get_monotonic_time();
	loop.turns++;
	loop.wakeups += timeout != 0;
	return ready;
}

void runtime_watch_loop(void)
{
	g_main_context_set_poll_func(NULL, count_poll);
}

static void write_loop(GString *out)
{
	jwrite_open(out, "loop", '{');
	jwrite_int(out, "turns", (int64_t)loop.turns);
	jwrite_int(out, "wakeups", (int64_t)loop.wakeups);
	jwrite_int(out, "longest_turn_us", loop.longest_us);
	histogram_write(out, "turn", &loop.turn);
	jwrite_close(out, '}');
}

/* -- memory and process --------------------------------------------------------------------- */

static void write_proc_status(GString *out)
{
	static const struct {
		const char *line, *key;
	} wanted[] = {
		{ "\nVmRSS:", "rss_bytes" },
		{ "\nRssAnon:", "rss_anonymous_bytes" },
		{ "\nVmHWM:", "rss_peak_bytes" },
		{ "\nVmSize:", "virtual_bytes" },
		{ "\nVmData:", "data_bytes" },
	};
	g_autofree char *text = NULL;

	g_file_get_contents("/proc/self/status", &text, NULL, NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(wanted); i++) {
		const char *line = text ? strstr(text, wanted[i].line) : NULL;

		if (line)
			jwrite_int(out, wanted[i].key,
				g_ascii_strtoll(line + strlen(wanted[i].line), NULL, 10) * 1024);
		else
			jwrite_null(out, wanted[i].key);
	}
}

static void write_memory(GString *out)
{
	struct mallinfo2 heap = mallinfo2();

	jwrite_open(out, "memory", '{');
	write_proc_status(out);
	jwrite_open(out, "heap", '{');
	jwrite_int(out, "used_bytes", (int64_t)(heap.uordblks + heap.hblkhd));
	jwrite_int(out, "free_bytes", (int64_t)heap.fordblks);
	jwrite_int(out, "mapped_bytes", (int64_t)heap.hblkhd);
	jwrite_close(out, '}');
	jwrite_close(out, '}');
}

static size_t count_descriptors(void)
{
	GDir *dir = g_dir_open("/proc/self/fd", 0, NULL);
	size_t n = 0;

	while (dir && g_dir_read_name(dir))
		n++;
	if (dir)
		g_dir_close(dir);
	return n ? n - 1 : 0; /* that of the folder itself */
}

static int64_t micros(struct timeval t)
{
	return t.tv_sec * (int64_t)G_USEC_PER_SEC + t.tv_usec;
}

static void write_process(GString *out)
{
	struct rusage usage = { 0 };
	struct rlimit files = { 0 };

	getrusage(RUSAGE_SELF, &usage);
	getrlimit(RLIMIT_NOFILE, &files);
	jwrite_open(out, "process", '{');
	jwrite_int(out, "cpu_user_us", micros(usage.ru_utime));
	jwrite_int(out, "cpu_system_us", micros(usage.ru_stime));
	jwrite_int(out, "switches_voluntary", usage.ru_nvcsw);
	jwrite_int(out, "switches_forced", usage.ru_nivcsw);
	jwrite_int(out, "descriptors", (int64_t)count_descriptors());
	jwrite_int(out, "descriptors_limit", (int64_t)files.rlim_cur);
	jwrite_close(out, '}');
}

void runtime_write(GString *out)
{
	write_memory(out);
	write_process(out);
	write_loop(out);
}

void runtime_write_pool(GString *out, const char *name, size_t n, size_t limit)
{
	jwrite_open(out, NULL, '{');
	jwrite_string(out, "name", name);
	jwrite_int(out, "count", (int64_t)n);
	if (limit)
		jwrite_int(out, "limit", (int64_t)limit);
	else
		jwrite_null(out, "limit");
	jwrite_close(out, '}');
}
