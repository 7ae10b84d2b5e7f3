/* agent/notify.c - datagrams to the service manager, never waiting for it. */
#include "agent/notify.h"

#include <errno.h>
#include <glib.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/auto.h"

enum { STATUS_MAX = 512 };

static struct {
	struct sockaddr_un address;
	socklen_t address_len; /* 0: nobody wants to hear us */
	int64_t watchdog_us;
} manager;

/* A path, or '@' and a name without file. */
static void take_address(const char *text)
{
	size_t len = text ? strlen(text) : 0;

	manager.address_len = 0;
	if (len < 2 || len >= sizeof(manager.address.sun_path) || !strchr("/@", text[0]))
		return;
	manager.address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(manager.address.sun_path, text, len);
	if (text[0] == '@')
		manager.address.sun_path[0] = '\0';
	manager.address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
}

static void take_watchdog(const char *usec, const char *pid)
{
	guint64 us = 0, who = 0;

	manager.watchdog_us = 0;
	if (!usec || !g_ascii_string_to_unsigned(usec, 10, 2, INT64_MAX, &us, NULL))
		return;
	if (pid &&
		(!g_ascii_string_to_unsigned(pid, 10, 1, INT32_MAX, &who, NULL) ||
			(pid_t)who != getpid()))
		return;
	manager.watchdog_us = (int64_t)us / 2;
}

void notify_init(void)
{
	take_address(getenv("NOTIFY_SOCKET"));
	take_watchdog(getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID"));
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
}

/* What cannot be delivered at once is lost: the next message comes soon enough. */
static void tell(const char *text)
{
	_auto_close_ int fd = -1;
	ssize_t n;

	if (!manager.address_len)
		return;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	n = sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&manager.address,
		manager.address_len);
	(void)n;
}

void notify_ready(void)
{
	tell("READY=1");
}

void notify_stopping(void)
{
	tell("STOPPING=1");
}

void notify_reloading(void)
{
	char text[64];
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%" PRId64,
		(int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);
	tell(text);
}

void notify_status(const char *format, ...)
{
	char text[STATUS_MAX] = "STATUS=";
	size_t head = strlen(text);
	va_list ap;

	va_start(ap, format);
	vsnprintf(text + head, sizeof(text) - head, format, ap);
	va_end(ap);
	/* A line break would begin another assignment. */
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < ' ')
			*p = ' ';
	tell(text);
}

void notify_watchdog(void)
{
	if (manager.watchdog_us)
		tell("WATCHDOG=1");
}

int64_t notify_watchdog_us(void)
{
	return manager.watchdog_us;
}
