/* agent/base/log.h - one line per event, to stderr, the journal or a file. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_target { LOG_TARGET_AUTO, LOG_TARGET_STDERR, LOG_TARGET_JOURNAL, LOG_TARGET_FILE };

/* AUTO: stderr, with <N> priority prefixes when stderr is the journal ($JOURNAL_STREAM matches).
 * A file is opened for appending, mode 0640, re-opened by a second call with the same path. Never
 * blocks on the journal. 0 or -errno; on failure the old target stays. */
int log_open(enum log_target target, const char *path);
void log_close(void);
void log_set_level(enum log_level level);
enum log_level log_get_level(void);
/* "error", "warn", "info", "debug". -EINVAL: none of them. */
int log_level_parse(const char *text, enum log_level *ret);
const char *log_level_name(enum log_level level);

/* Routes GLib's messages here. */
void log_take_glib(void);

/* Lines longer than 1 KiB are cut; control bytes and invalid UTF-8 come out escaped (\x1b), so a
 * foreign string can go into any message. errno is kept. */
void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Appends ": strerror(-r)" and returns r. */
int log_write_errno(enum log_level level, int r, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_error_errno(r, ...) log_write_errno(LOG_LEVEL_ERROR, r, __VA_ARGS__)
#define log_warn_errno(r, ...) log_write_errno(LOG_LEVEL_WARN, r, __VA_ARGS__)

/* At most `burst` messages in a minute per cause; when the next window opens, the number that was
 * suppressed is logged once. One static object per cause. */
struct log_limit {
	const char *cause;
	unsigned burst;
	int64_t window_us;
	unsigned count, suppressed;
};
bool log_limit_allows(struct log_limit *limit);
