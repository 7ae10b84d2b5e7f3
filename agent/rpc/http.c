/* agent/rpc/http.c - one request by libcurl. */
#include "agent/rpc/http.h"

#include <curl/curl.h>
#include <gio/gio.h>
#include <string.h>

#include "agent/base/due.h"
#include "agent/base/text.h"
#include "agent/rpc/easy.h"
#include "agent/rpc/loop.h"

enum { HEAD_MAX = 64 * 1024, ERROR_MAX = 256 };

struct http {
	void (*done)(const struct http_result *result, void *user);
	void *user;
	CURL *easy;
	struct loop *loop;
	struct curl_slist *headers, *hosts;
	GCancellable *lookup;
	GSource *due; /* the end of its time, or what is to be said at once */
	GBytes *body;
	GByteArray *answer;
	size_t answer_max, head;
	uint16_t port;
	uint32_t mark;
	int mark_error;
	bool enough; /* we have ended it, for the status is there */
	char words[CURL_ERROR_SIZE]; /* curl's */
	char why[ERROR_MAX];
};

/* -- the end ---------------------------------------------------------------------------------- */

static void set_why(struct http *h, const char *why)
{
	text_escape(h->why, sizeof(h->why), why, strlen(why));
}

/* The request may be gone after this. */
static void fail(struct http *h)
{
	h->done(&(struct http_result){ .error = h->why }, h->user);
}

static gboolean on_due(gpointer user)
{
	struct http *h = user;

	g_source_set_ready_time(h->due, -1);
	if (!h->why[0])
		set_why(h, "no answer in time");
	fail(h);
	return G_SOURCE_CONTINUE;
}

/* Instead of waiting any longer. */
static void fail_soon(struct http *h, const char *why)
{
	set_why(h, why);
	g_source_set_ready_time(h->due, 0);
}

static void finished(CURLcode code, void *user)
{
	struct http *h = user;
	long status = 0;

	if (h->why[0]) /* too much of something */
		return fail(h);
	if (h->mark_error) {
		g_autofree char *why = g_strdup_printf(
			"the mark of the socket cannot be set: %s", g_strerror(h->mark_error));

		set_why(h, why);
		return fail(h);
	}
	if (code != CURLE_OK && !h->enough) {
		set_why(h, h->words[0] ? h->words : curl_easy_strerror(code));
		return fail(h);
	}
	curl_easy_getinfo(h->easy, CURLINFO_RESPONSE_CODE, &status);
	h->done(&(struct http_result){ .status = (int)status,
			.answer = (const char *)h->answer->data,
			.len = h->answer->len },
		h->user);
}

/* -- what curl calls -------------------------------------------------------------------------- */

static int prepare_socket(void *user, curl_socket_t fd, curlsocktype purpose)
{
	struct http *h = user;

	h->mark_error = -easy_mark(fd, h->mark);
	return h->mark_error ? CURL_SOCKOPT_ERROR : CURL_SOCKOPT_OK;
}

/* A line of the head; the empty one ends it, also that of an answer that only announces another. */
static size_t take_head(char *line, size_t size, size_t n, void *user)
{
	struct http *h = user;
	long status = 0;

	h->head += n;
	if (h->head > HEAD_MAX) {
		set_why(h, "the head of the answer is too large");
		return 0;
	}
	if (h->answer_max || !n || (line[0] != '\r' && line[0] != '\n'))
		return n;
	curl_easy_getinfo(h->easy, CURLINFO_RESPONSE_CODE, &status);
	h->enough = status >= 200;
	return h->enough ? 0 : n;
}

static size_t take_body(char *data, size_t size, size_t n, void *user)
{
	struct http *h = user;

	if (n > h->answer_max - h->answer->len) {
		g_snprintf(h->why, sizeof(h->why), "the answer is larger than %zu bytes",
			h->answer_max);
		return 0;
	}
	g_byte_array_append(h->answer, (const guint8 *)data, (guint)n);
	return n;
}

/* -- the beginning ---------------------------------------------------------------------------- */

static void set_body(struct http *h, GBytes *body)
{
	gsize len;
	const void *data = g_bytes_get_data(body, &len);

	h->body = g_bytes_ref(body);
	curl_easy_setopt(h->easy, CURLOPT_POST, 1L);
	curl_easy_setopt(h->easy, CURLOPT_POSTFIELDS, data ? data : "");
	curl_easy_setopt(h->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)len);
	/* Nobody is asked first whether it may be so large. */
	h->headers = curl_slist_append(h->headers, "Expect:");
}

static void set_options(struct http *h, const struct http_options *options)
{
	CURL *easy = h->easy = curl_easy_init();

	for (const char *const *line = options->headers; line && *line; line++)
		h->headers = curl_slist_append(h->headers, *line);
	if (options->body)
		set_body(h, options->body);
	curl_easy_setopt(easy, CURLOPT_URL, options->url);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, h->headers);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, h->words);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_PROXY, ""); /* whatever the environment says */
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L);
	curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, prepare_socket);
	curl_easy_setopt(easy, CURLOPT_SOCKOPTDATA, h);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_head);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, h);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, h);
	easy_trust(easy, options->ca_file, options->ca_dir);
}

static void looked_up(GObject *source, GAsyncResult *result, gpointer user)
{
	g_autoptr(GError) error = NULL;
	GList *list = g_resolver_lookup_by_name_finish(G_RESOLVER(source), result, &error);
	struct http *h = user;

	if (error && g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
		return; /* the request is gone */
	g_clear_object(&h->lookup);
	if (!list)
		return fail_soon(h, error ? error->message : "no address");
	h->hosts = easy_hosts(list, h->port);
	curl_easy_setopt(h->easy, CURLOPT_RESOLVE, h->hosts);
	h->loop = loop_start(h->easy, finished, h);
}

static void connect_to(struct http *h, const char *host)
{
	g_autoptr(GResolver) resolver = NULL;

	if (g_hostname_is_ip_address(host)) {
		h->loop = loop_start(h->easy, finished, h);
		return;
	}
	resolver = g_resolver_get_default();
	h->lookup = g_cancellable_new();
	g_resolver_lookup_by_name_async(resolver, host, h->lookup, looked_up, h);
}

struct http *http_start(const struct http_options *options,
	void (*done)(const struct http_result *result, void *user), void *user)
{
	struct http *h = g_new0(struct http, 1);
	g_autofree char *scheme = NULL, *host = NULL, *mistake = NULL;
	int port;

	h->done = done;
	h->user = user;
	h->mark = options->mark;
	h->answer = g_byte_array_new();
	h->answer_max = options->answer_max;
	h->due = due_new(on_due, h, NULL);
	g_source_set_ready_time(
		h->due, g_get_monotonic_time() + (int64_t)options->timeout_ms * 1000);
	set_options(h, options);
	if (!g_uri_split_network(options->url, G_URI_FLAGS_NONE, &scheme, &host, &port, NULL)) {
		fail_soon(h, "not a URL");
		return h;
	}
	h->port = (uint16_t)(port > 0 ? port : !strcmp(scheme, "https") ? 443 : 80);
	mistake = easy_cannot_read(options->ca_file, false);
	if (!mistake)
		mistake = easy_cannot_read(options->ca_dir, true);
	if (mistake)
		fail_soon(h, mistake);
	else
		connect_to(h, host);
	return h;
}

void http_free(struct http *h)
{
	if (!h)
		return;
	due_free(h->due);
	if (h->lookup)
		g_cancellable_cancel(h->lookup);
	g_clear_object(&h->lookup);
	loop_free(h->loop);
	curl_easy_cleanup(h->easy);
	curl_slist_free_all(h->headers);
	curl_slist_free_all(h->hosts);
	g_clear_pointer(&h->body, g_bytes_unref);
	g_byte_array_unref(h->answer);
	g_free(h);
}
