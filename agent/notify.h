/* agent/notify.h - tells the service manager how we are (sd_notify protocol, no library). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Takes NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID out of the environment. */
void notify_init(void);
void notify_ready(void);
void notify_stopping(void);
void notify_reloading(void);
void notify_status(const char *format, ...) __attribute__((format(printf, 1, 2)));
void notify_watchdog(void);
/* How often notify_watchdog is to be called: half of the service manager's limit; 0: not at all. */
int64_t notify_watchdog_us(void);
