/* agent/main.c - lapwingd: options. */
#include <getopt.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/exitcode.h"
#include "agent/base/log.h"
#include "agent/daemon.h"
#include "agent/files.h"

static const char usage[] =
	"Usage: lapwingd [OPTION]...\n"
	"The lapwing mesh agent. Runs in the foreground.\n\n"
	"  --config FILE      configuration (default /etc/lapwing/lapwing.json)\n"
	"  --state DIR        what outlasts a restart (default /var/lib/lapwing)\n"
	"  --run DIR          control socket (default /run/lapwing)\n"
	"  --check-config     check configuration and mesh file, change nothing\n"
	"  --take-down        remove from the kernel what the daemon made, and end\n"
	"  --log-level LEVEL  error, warn, info or debug\n"
	"  --help, --version\n\n"
	"See lapwingd(8), lapwing.json(5).\n";

static int usage_error(void)
{
	fprintf(stderr, "try lapwingd --help\n");
	return EXIT_USAGE;
}

/* There "lapwing tune" keeps what root alone may write: an instance of that name would make it the daemon's. */
static bool belongs_to_tune(const char *dir)
{
	static const char tune[] = "/var/lib/lapwing-tune";
	size_t len = strlen(dir);

	while (len > 1 && dir[len - 1] == '/')
		len--;
	return len == sizeof(tune) - 1 && !memcmp(dir, tune, len);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "state", required_argument, NULL, 's' },
		{ "run", required_argument, NULL, 'r' },
		{ "check-config", no_argument, NULL, 'C' },
		{ "take-down", no_argument, NULL, 'd' },
		{ "log-level", required_argument, NULL, 'l' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	struct daemon_options o = {
		.config_path = "/etc/lapwing/lapwing.json",
		.state_dir = "/var/lib/lapwing",
		.run_dir = "/run/lapwing",
		.log_level = -1,
	};
	enum log_level level;
	struct daemon *d;
	bool check = false;
	int c, code;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			o.config_path = optarg;
			break;
		case 's':
			o.state_dir = optarg;
			break;
		case 'r':
			o.run_dir = optarg;
			break;
		case 'C':
			check = true;
			break;
		case 'd':
			o.take_down = true;
			break;
		case 'l':
			if (log_level_parse(optarg, &level) < 0) {
				fprintf(stderr, "lapwingd: no log level %s\n", optarg);
				return usage_error();
			}
			o.log_level = (int)level;
			break;
		case 'h':
			fputs(usage, stdout);
			return EXIT_OK;
		case 'V':
			puts("lapwingd " LAPWING_VERSION);
			return EXIT_OK;
		default:
			return usage_error();
		}
	}
	if (optind < argc) {
		fprintf(stderr, "lapwingd: what is %s?\n", argv[optind]);
		return usage_error();
	}
	if (belongs_to_tune(o.state_dir)) {
		fprintf(stderr,
			"lapwingd: %s belongs to lapwing tune: give the instance another name\n",
			o.state_dir);
		return EXIT_USAGE;
	}
	/* A map is replaced as a whole: its big pieces go back to the system, whatever their size was. */
	mallopt(M_MMAP_THRESHOLD, 64 * 1024);
	mallopt(M_TRIM_THRESHOLD, 64 * 1024);
	if (check)
		return files_check(o.config_path, o.state_dir);
	code = daemon_start(&o, &d);
	if (code)
		return code;
	code = daemon_run(d);
	daemon_free(d);
	return code;
}
