/* agent/rpc/stream.h - a byte stream to a server: TCP, TLS and certificates are libcurl's, names GLib's.
 *
 * Everything happens in the default GMainContext; callbacks never run inside of a call of ours. What
 * speaks on it (HTTP/2 for gRPC, later WebSocket) knows nothing of curl. SIGPIPE is to be ignored. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct stream;

enum {
	STREAM_AGAIN = -11, /* -EAGAIN: nothing now; a callback will say when */
	STREAM_ERROR_MAX = 256,
};

/* Why a connection could not be made, or ended; for messages, exit codes and retries. */
enum stream_failure {
	STREAM_OK,
	STREAM_NAME, /* the name was not found */
	STREAM_UNREACHABLE, /* refused, no route, timed out */
	STREAM_TLS, /* handshake, certificate, name, wrong ALPN */
	STREAM_LOST, /* it was there, and ended */
	STREAM_USAGE, /* the URL, a file or the mark cannot be used */
};

/* Copied by stream_open. Zero numbers mean the defaults. */
struct stream_options {
	const char *url; /* http://HOST:PORT or https://HOST:PORT; more is ignored */
	const char *alpn; /* "h2", "http/1.1": required from a https server; NULL: none */
	const char *ca_file, *ca_dir; /* instead of those of the system; NULL: none */
	const char *client_cert, *client_key; /* PEM files; NULL: none */
	const char *address; /* numeric, in place of looking up the name; NULL: look it up */
	uint32_t mark; /* SO_MARK; 0: none */
	unsigned connect_ms; /* the whole way, with name and TLS; default 15000 */
	unsigned user_timeout_ms; /* TCP_USER_TIMEOUT; default 20000 */
	unsigned keepalive_s; /* TCP keepalive: idle time and interval; default 20 */
};

/* Its own copies of the texts, but for alpn. */
void stream_options_copy(struct stream_options *to, const struct stream_options *from);
void stream_options_clear(struct stream_options *options);

struct stream_callbacks {
	void (*connected)(void *user);
	/* Read until STREAM_AGAIN, or call stream_read_again. */
	void (*readable)(void *user);
	void (*writable)(void *user); /* once after stream_want_write */
	/* Instead of connected: at most once, last. The stream is still there and is to be closed. */
	void (*failed)(enum stream_failure failure, const char *why, void *user);
};

struct stream *stream_open(
	const struct stream_options *options, const struct stream_callbacks *callbacks, void *user);
/* Also from a callback. NULL is fine. */
void stream_close(struct stream *s);

/* > 0 bytes; 0 the other side has ended; STREAM_AGAIN; or another negative errno: it is lost. */
ssize_t stream_read(struct stream *s, void *buf, size_t len);
/* After STREAM_AGAIN the same bytes are to come first. Never 0. When it fails, what the server said before
 * can still be read. */
ssize_t stream_write(struct stream *s, const void *buf, size_t len);
void stream_want_write(struct stream *s);
/* Calls readable() again soon, although nothing new has come. */
void stream_read_again(struct stream *s);
/* Why reading or writing failed: STREAM_TLS when the server did not like our certificate (with TLS 1.3
 * it says so when we think that we are connected). `why` is printable. */
enum stream_failure stream_loss(const struct stream *s, const char **ret_why);
/* The address it is connected to, for caching: "192.0.2.1" or "2001:db8::1"; "" before. */
const char *stream_address(const struct stream *s);
/* HOST:PORT of the URL; "" when it has none. */
const char *stream_authority(const struct stream *s);
bool stream_is_secure(const struct stream *s);
