/* agent/rpc/stream.c - a connection made by libcurl (CURLOPT_CONNECT_ONLY), then read and written by us. */
#include "agent/rpc/stream.h"

#include <curl/curl.h>
#include <errno.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/base/text.h"
#include "agent/rpc/easy.h"
#include "agent/rpc/loop.h"

enum {
	CONNECT_MS = 15000,
	USER_TIMEOUT_MS = 20000,
	KEEPALIVE_S = 20,
	RECEIVE_MAX = 64 * 1024, /* what one stream_read may return */
	ALPN_MAX = 32,
};

struct stream {
	GSource source; /* GLib owns the memory: it is there till the dispatch ends */
	const struct stream_callbacks *callbacks;
	void *user;
	CURL *easy;
	struct loop *loop;
	struct curl_slist *hosts; /* what curl gets instead of looking up the name */
	GCancellable *lookup;
	gpointer tag; /* of the connected socket */
	char *authority, *host, alpn[ALPN_MAX];
	uint16_t port;
	bool secure, alpn_agreed, again, wants_write;
	bool heard; /* something has been read */
	bool ended; /* nothing more can be read */
	bool has_certificate, certificate_wanted;
	uint32_t mark;
	int user_timeout_ms, keepalive_s, mark_error;
	int alert; /* of TLS, that the server sent; 0: none */
	enum stream_failure failure; /* STREAM_OK: none, or not yet */
	char address[INET6_ADDRSTRLEN];
	char words[CURL_ERROR_SIZE]; /* curl's */
	char why[STREAM_ERROR_MAX];
};

/* -- failures ------------------------------------------------------------------------------- */

static enum stream_failure failure_of(CURLcode code)
{
	/* An open set: every version of curl adds some. */
	switch ((int)code) {
	case CURLE_COULDNT_RESOLVE_HOST:
		return STREAM_NAME;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_CLIENTCERT:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_INVALIDCERTSTATUS:
		return STREAM_TLS;
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ENGINE_NOTFOUND:
		return STREAM_USAGE;
	default:
		return STREAM_UNREACHABLE;
	}
}

/* From here on only failed() or an error of reading and writing comes. */
static void fail(struct stream *s, enum stream_failure failure, const char *why)
{
	s->failure = failure;
	text_escape(s->why, sizeof(s->why), why, strlen(why));
}

/* Some servers leave without a word when they do not like what we show. */
static bool left_over_certificate(const struct stream *s)
{
	return s->certificate_wanted && !s->heard;
}

static ssize_t lose(struct stream *s, const char *why)
{
	char alert[64];

	if (s->alert) {
		/* With TLS 1.3 the server looks at our certificate when we think that we are connected. */
		g_snprintf(alert, sizeof(alert), "the server ended TLS: %s",
			s->alert == SSL_AD_CERTIFICATE_REQUIRED
				? "certificate required"
				: SSL_alert_desc_string_long(s->alert));
		fail(s, STREAM_TLS, alert);
	} else if (s->failure == STREAM_OK && left_over_certificate(s)) {
		fail(s, STREAM_TLS,
			s->has_certificate
				? "the server wants a certificate, and left when it had ours"
				: "the server wants a certificate, and there is none to show");
	} else if (s->failure == STREAM_OK) {
		fail(s, STREAM_LOST, why);
	}
	return -ECONNRESET;
}

/* -- TLS ------------------------------------------------------------------------------------ */

static void on_tls(const SSL *ssl, int where, int value)
{
	struct stream *s = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	const unsigned char *chosen;
	unsigned len;

	if (where & SSL_CB_HANDSHAKE_DONE) {
		SSL_get0_alpn_selected(ssl, &chosen, &len);
		s->alpn_agreed = len > 0 && len == strlen(s->alpn) && !memcmp(chosen, s->alpn, len);
	} else if (where == SSL_CB_READ_ALERT && (value & 0xff) != SSL_AD_CLOSE_NOTIFY) {
		s->alert = value & 0xff;
	}
}

/* Only asked when the server wants one; whether there is one is curl's business. */
static int on_certificate_wanted(SSL *ssl, void *user)
{
	((struct stream *)user)->certificate_wanted = true;
	return 1;
}

/* ALPN is ours: where curl asks for h2 it also speaks it, and CONNECT_ONLY with it crashes (7.88, 8.14). */
static CURLcode prepare_tls(CURL *easy, void *context, void *user)
{
	struct stream *s = user;
	uint8_t wire[1 + ALPN_MAX];
	size_t len = strlen(s->alpn);

	wire[0] = (uint8_t)len;
	memcpy(wire + 1, s->alpn, len);
	/* 0 is success here. */
	if (len && SSL_CTX_set_alpn_protos(context, wire, (unsigned)len + 1))
		return CURLE_OUT_OF_MEMORY;
	SSL_CTX_set_app_data(context, s);
	SSL_CTX_set_info_callback(context, on_tls);
	SSL_CTX_set_cert_cb(context, on_certificate_wanted, s);
	/* A write that is tried again may come from another buffer, and be longer. */
	SSL_CTX_set_mode(context,
		SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
			SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_read_ahead(context, 1);
	return CURLE_OK;
}

/* -- options -------------------------------------------------------------------------------- */

void stream_options_copy(struct stream_options *to, const struct stream_options *from)
{
	*to = *from;
	to->url = g_strdup(from->url);
	to->ca_file = g_strdup(from->ca_file);
	to->ca_dir = g_strdup(from->ca_dir);
	to->client_cert = g_strdup(from->client_cert);
	to->client_key = g_strdup(from->client_key);
	to->address = g_strdup(from->address);
}

void stream_options_clear(struct stream_options *options)
{
	g_free((char *)options->url);
	g_free((char *)options->ca_file);
	g_free((char *)options->ca_dir);
	g_free((char *)options->client_cert);
	g_free((char *)options->client_key);
	g_free((char *)options->address);
}

static int prepare_socket(void *user, curl_socket_t fd, curlsocktype purpose)
{
	struct stream *s = user;
	const int on = 1;

	s->mark_error = -easy_mark(fd, s->mark);
	if (s->mark_error)
		return CURL_SOCKOPT_ERROR;
	setsockopt(
		fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &s->user_timeout_ms, sizeof(s->user_timeout_ms));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &s->keepalive_s, sizeof(s->keepalive_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &s->keepalive_s, sizeof(s->keepalive_s));
	return CURL_SOCKOPT_OK;
}

static void set_options(struct stream *s, const struct stream_options *options, unsigned connect_ms)
{
	g_autofree char *url = g_strdup_printf(
		"%s://%s", s->secure ? "https" : "http", s->authority);
	CURL *easy = s->easy;

	curl_easy_setopt(easy, CURLOPT_URL, url);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, s->words);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
	curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
	curl_easy_setopt(easy, CURLOPT_PROXY, ""); /* whatever the environment says */
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)RECEIVE_MAX);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_ms);
	curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, prepare_socket);
	curl_easy_setopt(easy, CURLOPT_SOCKOPTDATA, s);
	if (!s->secure)
		return;
	curl_easy_setopt(easy, CURLOPT_SSL_ENABLE_ALPN, 0L);
	curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L); /* nobody would use it again */
	curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, prepare_tls);
	curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, s);
	curl_easy_setopt(easy, CURLOPT_SSLCERT, options->client_cert);
	curl_easy_setopt(easy, CURLOPT_SSLKEY, options->client_key);
	easy_trust(easy, options->ca_file, options->ca_dir);
}

static bool read_url(struct stream *s, const char *url)
{
	g_autofree char *scheme = NULL, *host = NULL;
	int port;

	if (!g_uri_split_network(url, G_URI_FLAGS_NONE, &scheme, &host, &port, NULL) || !host[0])
		return false;
	s->secure = !strcmp(scheme, "https");
	if (!s->secure && strcmp(scheme, "http"))
		return false;
	s->port = (uint16_t)(port > 0 ? port : s->secure ? 443 : 80);
	s->authority = g_strdup_printf(strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, s->port);
	s->host = g_steal_pointer(&host);
	return true;
}

/* -- connecting ----------------------------------------------------------------------------- */

/* Of files curl says which one it does not like, and not why. */
static char *explain(const struct stream *s, CURLcode code)
{
	const char *words = s->words[0] ? s->words : curl_easy_strerror(code);

	if (code == CURLE_SSL_CACERT_BADFILE)
		return g_strdup_printf("%s (no certificate in it)", words);
	if (code == CURLE_SSL_CERTPROBLEM)
		return g_strdup_printf("%s (not PEM, or not the certificate's key)", words);
	return g_strdup(words);
}

static void finished(CURLcode code, void *user)
{
	struct stream *s = user;
	curl_socket_t fd = CURL_SOCKET_BAD;
	const char *address = NULL;

	if (s->failure != STREAM_OK)
		return;
	if (s->mark_error) {
		g_autofree char *why = g_strdup_printf(
			"the mark of the socket cannot be set: %s", g_strerror(s->mark_error));

		fail(s, STREAM_USAGE, why);
	} else if (code != CURLE_OK) {
		g_autofree char *why = explain(s, code);

		fail(s, failure_of(code), why);
	} else if (s->secure && s->alpn[0] && !s->alpn_agreed) {
		g_autofree char *why = g_strdup_printf(
			"the server does not offer %s over TLS (ALPN)",
			!strcmp(s->alpn, "h2") ? "HTTP/2" : s->alpn);

		fail(s, STREAM_TLS, why);
	} else if (curl_easy_getinfo(s->easy, CURLINFO_ACTIVESOCKET, &fd) != CURLE_OK ||
		fd == CURL_SOCKET_BAD) {
		fail(s, STREAM_UNREACHABLE, "the connection ended at once");
	} else {
		curl_easy_getinfo(s->easy, CURLINFO_PRIMARY_IP, &address);
		g_strlcpy(s->address, address, sizeof(s->address));
		s->words[0] = '\0'; /* of an address that did not answer */
		g_source_set_ready_time(&s->source, -1);
		s->tag = g_source_add_unix_fd(&s->source, fd, G_IO_IN | G_IO_HUP | G_IO_ERR);
		s->again = true; /* something may have come with the handshake */
		s->callbacks->connected(s->user);
	}
}

static void looked_up(GObject *source, GAsyncResult *result, gpointer user)
{
	g_autoptr(GError) error = NULL;
	GList *list = g_resolver_lookup_by_name_finish(G_RESOLVER(source), result, &error);
	struct stream *s = user;

	if (error && g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
		return; /* the stream is gone */
	g_clear_object(&s->lookup);
	if (!list) {
		fail(s, STREAM_NAME, error ? error->message : "no address");
		return;
	}
	s->hosts = easy_hosts(list, s->port);
	curl_easy_setopt(s->easy, CURLOPT_RESOLVE, s->hosts);
	s->loop = loop_start(s->easy, finished, s);
}

/* Names are not curl's: closing a stream waits for its thread that looks one up (before 7.87 always). */
static void start(struct stream *s, const char *address)
{
	g_autoptr(GResolver) resolver = NULL;
	g_autofree char *to = NULL;

	if (!address && !g_hostname_is_ip_address(s->host)) {
		resolver = g_resolver_get_default();
		s->lookup = g_cancellable_new();
		g_resolver_lookup_by_name_async(resolver, s->host, s->lookup, looked_up, s);
		return;
	}
	if (address) {
		to = g_strdup_printf(strchr(address, ':') ? "::[%s]:" : "::%s:", address);
		s->hosts = curl_slist_append(NULL, to);
		curl_easy_setopt(s->easy, CURLOPT_CONNECT_TO, s->hosts);
	}
	s->loop = loop_start(s->easy, finished, s);
}

/* -- the source ----------------------------------------------------------------------------- */

static bool is_due(const struct stream *s)
{
	return s->again || (s->failure != STREAM_OK && !s->tag);
}

static gboolean prepare(GSource *source, int *timeout_ms)
{
	*timeout_ms = -1;
	return is_due((struct stream *)source);
}

static gboolean check(GSource *source)
{
	struct stream *s = (struct stream *)source;

	return is_due(s) || (s->tag && g_source_query_unix_fd(source, s->tag));
}

static void dispatch_connected(struct stream *s)
{
	GIOCondition events = g_source_query_unix_fd(&s->source, s->tag);
	bool readable = s->again || events & (G_IO_IN | G_IO_HUP | G_IO_ERR);

	if (s->wants_write && events & (G_IO_OUT | G_IO_ERR)) {
		s->wants_write = false;
		g_source_modify_unix_fd(&s->source, s->tag, G_IO_IN | G_IO_HUP | G_IO_ERR);
		s->callbacks->writable(s->user);
	}
	if (readable && !g_source_is_destroyed(&s->source)) {
		s->again = false;
		s->callbacks->readable(s->user);
	}
}

static gboolean dispatch(GSource *source, GSourceFunc unused, gpointer unused_too)
{
	struct stream *s = (struct stream *)source;

	if (s->tag) {
		dispatch_connected(s);
		return G_SOURCE_CONTINUE;
	}
	if (s->failure == STREAM_OK)
		fail(s, STREAM_UNREACHABLE, "timed out while connecting");
	s->callbacks->failed(s->failure, s->why, s->user);
	return G_SOURCE_REMOVE;
}

static GSourceFuncs source_funcs = { .prepare = prepare, .check = check, .dispatch = dispatch };

/* -- life ----------------------------------------------------------------------------------- */

/* What curl would say too late, or not in words. */
static char *find_mistake(struct stream *s, const struct stream_options *options)
{
	char *mistake = NULL;

	if (!options->url || !read_url(s, options->url))
		return g_strdup("the URL is not http://HOST:PORT or https://HOST:PORT");
	if (options->address && !g_hostname_is_ip_address(options->address))
		return g_strdup("the address of the server is not numeric");
	if (s->secure) {
		mistake = easy_cannot_read(options->ca_file, false);
		if (!mistake)
			mistake = easy_cannot_read(options->ca_dir, true);
		if (!mistake)
			mistake = easy_cannot_read(options->client_cert, false);
		if (!mistake)
			mistake = easy_cannot_read(options->client_key, false);
	}
	return mistake;
}

struct stream *stream_open(
	const struct stream_options *options, const struct stream_callbacks *callbacks, void *user)
{
	struct stream *s = (struct stream *)g_source_new(&source_funcs, sizeof(struct stream));
	unsigned connect_ms = options->connect_ms ? options->connect_ms : CONNECT_MS;
	g_autofree char *mistake = find_mistake(s, options);

	s->callbacks = callbacks;
	s->user = user;
	s->mark = options->mark;
	s->has_certificate = options->client_cert;
	s->user_timeout_ms = (int)(options->user_timeout_ms ? options->user_timeout_ms
							    : USER_TIMEOUT_MS);
	s->keepalive_s = (int)(options->keepalive_s ? options->keepalive_s : KEEPALIVE_S);
	g_strlcpy(s->alpn, options->alpn ? options->alpn : "", sizeof(s->alpn));
	g_source_set_can_recurse(&s->source, TRUE);
	g_source_set_ready_time(&s->source, g_get_monotonic_time() + (int64_t)connect_ms * 1000);
	g_source_attach(&s->source, NULL);
	if (mistake) {
		fail(s, STREAM_USAGE, mistake);
		return s;
	}
	s->easy = curl_easy_init();
	set_options(s, options, connect_ms);
	start(s, options->address);
	return s;
}

void stream_close(struct stream *s)
{
	if (!s)
		return;
	g_source_destroy(&s->source);
	if (s->lookup)
		g_cancellable_cancel(s->lookup);
	g_clear_object(&s->lookup);
	loop_free(s->loop);
	curl_easy_cleanup(s->easy);
	curl_slist_free_all(s->hosts);
	g_free(s->authority);
	g_free(s->host);
	g_source_unref(&s->source);
}

/* -- bytes ---------------------------------------------------------------------------------- */

static const char *broke(const struct stream *s)
{
	return s->words[0] ? s->words : "the connection broke";
}

ssize_t stream_read(struct stream *s, void *buf, size_t len)
{
	size_t n = 0;
	CURLcode code;

	if (s->ended || !s->tag)
		return -ECONNRESET;
	code = curl_easy_recv(s->easy, buf, len, &n);
	if (code == CURLE_AGAIN)
		return STREAM_AGAIN;
	s->ended = code != CURLE_OK || n == 0;
	if (code != CURLE_OK)
		return lose(s, broke(s));
	if (n == 0)
		lose(s, "the server closed the connection");
	s->heard = true;
	return (ssize_t)n;
}

ssize_t stream_write(struct stream *s, const void *buf, size_t len)
{
	size_t n = 0;
	CURLcode code;

	if (s->failure != STREAM_OK || !s->tag)
		return -ECONNRESET;
	code = curl_easy_send(s->easy, buf, len, &n);
	if (code == CURLE_AGAIN || (code == CURLE_OK && n == 0))
		return STREAM_AGAIN;
	return code == CURLE_OK ? (ssize_t)n : lose(s, broke(s));
}

void stream_want_write(struct stream *s)
{
	if (s->wants_write)
		return;
	s->wants_write = true;
	g_source_modify_unix_fd(&s->source, s->tag, G_IO_IN | G_IO_OUT | G_IO_HUP | G_IO_ERR);
}

void stream_read_again(struct stream *s)
{
	s->again = true;
}

enum stream_failure stream_loss(const struct stream *s, const char **ret_why)
{
	*ret_why = s->why;
	return s->failure;
}

const char *stream_address(const struct stream *s)
{
	return s->address;
}

const char *stream_authority(const struct stream *s)
{
	return s->authority ? s->authority : "";
}

bool stream_is_secure(const struct stream *s)
{
	return s->secure;
}
