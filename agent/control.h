/* agent/control.h - the control socket: JSON lines, one request, one reply; or a stream of events.
 *
 * Request:  {"v":1,"command":"status","detail":true}
 * Reply:    {"v":1,"ok":true,"result":{...}}  or
 *           {"v":1,"ok":false,"error":{"code":5,"class":"permission","message":"...","hint":null}}
 * Events:   {"v":1,"event":"peer",...} after a monitor request was answered; {"v":1,"event":"gap",
 *           "lost":12} where a slow reader missed some.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/base/exitcode.h"
#include "agent/base/key.h"
#include "agent/base/text.h"
#include "agent/base/uuid.h"

struct control;

enum {
	CONTROL_CLIENTS_MAX = 64,
	CONTROL_REQUEST_MAX = 68 * 1024, /* an import has a profile of 64 KiB in it */
	CONTROL_EVENTS_MAX = 256 * 1024, /* bytes queued for a monitor before events are dropped */
	CONTROL_VERSION = 1,
};

/* What a caller waits for. */
enum control_until {
	CONTROL_UNTIL_DONE, /* up: it is settled; enroll: enrolled */
	CONTROL_UNTIL_CONTROL, /* the server is connected */
	CONTROL_UNTIL_READY, /* everything is in place */
};

struct control_request {
	char command[32];
	char level[16]; /* log-level */
	char peer[254]; /* a host name may have 253 bytes */
	char check[16]; /* status: live, ready */
	int64_t mtu; /* mtu: 0 forgets it */
	bool detail;
	bool wait; /* up, wake, enroll: answer when that is done */
	enum control_until until; /* up, enroll: when it is done; only with `wait` */
	char url[256]; /* enroll: of the server */
	char setup_key[UUID_STRLEN]; /* enroll; in lower case; "": none is given */
	struct wg_key psk; /* set-psk; zero: none is given */
	char hostname[HOSTNAME_MAX + 1]; /* enroll; "": that of the host */
	bool force; /* enroll, import: although something speaks against it */
	bool purge; /* deregister: the key too */
	const char *
		profile; /* import: the text of an object, not terminated; NULL: none. Lies in the line
			      * and, like this struct, is gone when control_fn returns. */
	size_t profile_len;
	uint32_t client; /* who asks; for control_reply */
	bool may_change; /* the caller is root or the daemon's own user */
};

/* Who is at the other end of a socket. */
struct control_caller {
	uid_t uid;
	gid_t gid;
	const gid_t *groups; /* the supplementary ones */
	size_t n_groups;
};

enum control_access { CONTROL_ACCESS_NONE, CONTROL_ACCESS_READ, CONTROL_ACCESS_CHANGE };

/* Runs for each well-formed request of version 1 whose caller may ask it. Must lead to exactly one
 * control_reply or control_error for request->client, now or later; a client that left meanwhile is
 * fine. The request, and the line it came in, are wiped when this returns. "ping" and "monitor" are answered by the server itself. The control socket must not be closed
 * from here. */
typedef void (*control_fn)(const struct control_request *request, void *user);

/* Pure: one line to struct. 0 or -EINVAL with a message. */
int control_parse(
	const char *line, size_t len, struct control_request *ret, char *error, size_t error_len);
/* Pure: what this caller may do. `group` is (gid_t)-1 when the group does not exist. */
enum control_access control_access(const struct control_caller *caller, uid_t own, gid_t group);
/* Pure: does this request leave everything as it is, and tell nothing secret? */
bool control_is_reading(const struct control_request *request);
/* Pure: has the answer a secret in it? */
bool control_is_secret(const struct control_request *request);

/* How long a begun request may take to come in, and how long a reader may take nothing. */
enum { CONTROL_REQUEST_MS = 5000, CONTROL_STALL_MS = 30000 };

/* Listens on `path` (0660, group `group` when it exists). -EADDRINUSE: somebody answers there; a dead
 * socket file is replaced. Callers: uid 0 and our own uid may change, members of `group` may read
 * (commands that change are refused with EXIT_PERMISSION), others are refused. */
int control_open(
	const char *path, const char *group, control_fn fn, void *user, struct control **ret);
void control_close(struct control *control); /* also removes the socket file */
/* Other limits than CONTROL_REQUEST_MS and CONTROL_STALL_MS, for tests. */
void control_set_limits(struct control *control, int request_ms, int stall_ms);

/* Takes `result`: the JSON text of an object. The answer to an `export` is wiped when it is sent: make
 * `result` with room for all of it, and 64 bytes more, so that it leaves no copies when it grows. */
void control_reply(struct control *control, uint32_t client, GString *result);
void control_error(struct control *control, uint32_t client, enum exit_code code, const char *hint,
	const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Sends an event (a JSON object's text without "v") to every monitor. */
void control_publish(struct control *control, const char *event_json);
size_t control_count_clients(const struct control *control);
bool control_has_monitors(const struct control *control);

/* Asks itself a question through its own socket; `served` runs from the loop when the answer came,
 * never when none comes. A new question drops the old one. */
void control_probe(struct control *control, void (*served)(void *user), void *user);
