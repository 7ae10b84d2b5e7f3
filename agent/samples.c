/* agent/samples.c - how long the stages of a network took. */
#include "agent/samples.h"

#include <inttypes.h>
#include <string.h>

enum { SECOND_NS = 1000000000, SLACK = 1024 };

enum kind { KIND_CONNECTION, KIND_SYNC, KIND_LOGIN, KIND_PHASE };

struct sample {
	uint64_t remote; /* its id as a number */
	int64_t wall_ns;
	uint32_t took_us[3]; /* in the order of the fields */
	uint8_t kind, phase;
	bool again, success;
};

struct samples {
	GArray *list; /* struct sample, oldest first */
	guint gone; /* of them, at the beginning */
	uint64_t dropped; /* ever: the mark of the first one */
	GHashTable *met; /* remotes that were connected before; as many as samples */
	const char *deployment;
	char own[SAMPLES_ID_STRLEN];
};

#if defined(__x86_64__)
#define ARCH "amd64"
#elif defined(__aarch64__)
#define ARCH "arm64"
#elif defined(__arm__)
#define ARCH "arm"
#elif defined(__i386__)
#define ARCH "386"
#elif defined(__riscv)
#define ARCH "riscv64"
#else
#define ARCH "unknown"
#endif

struct samples *samples_new(void)
{
	struct samples *s = g_new0(struct samples, 1);

	s->list = g_array_new(FALSE, FALSE, sizeof(struct sample));
	s->met = g_hash_table_new(NULL, NULL);
	s->deployment = "unknown";
	return s;
}

void samples_free(struct samples *s)
{
	if (!s)
		return;
	g_array_unref(s->list);
	g_hash_table_unref(s->met);
	g_free(s);
}

/* -- dropping --------------------------------------------------------------------------------- */

size_t samples_count(const struct samples *s)
{
	return s->list->len - s->gone;
}

static const struct sample *sample_at(const struct samples *s, guint i)
{
	return &g_array_index(s->list, struct sample, i);
}

static void drop(struct samples *s, guint n)
{
	s->gone += n;
	s->dropped += n;
	if (s->gone < SLACK && s->gone < s->list->len)
		return;
	g_array_remove_range(s->list, 0, s->gone);
	s->gone = 0;
}

void samples_drop(struct samples *s, uint64_t mark)
{
	if (mark > s->dropped)
		drop(s, (guint)MIN(mark - s->dropped, samples_count(s)));
}

static void forget_old(struct samples *s, int64_t wall_ns)
{
	const int64_t most_ns = SAMPLES_DAYS * INT64_C(86400) * SECOND_NS;
	guint count = (guint)samples_count(s), n = 0;

	while (n < count &&
		(count - n > SAMPLES_MAX || wall_ns - sample_at(s, s->gone + n)->wall_ns > most_ns))
		n++;
	drop(s, n);
}

/* -- ids -------------------------------------------------------------------------------------- */

static void hash_id(const char *text, char ret[static SAMPLES_ID_STRLEN])
{
	g_autofree char *hex = g_compute_checksum_for_string(G_CHECKSUM_SHA256, text, -1);

	g_strlcpy(ret, hex, SAMPLES_ID_STRLEN);
}

void samples_peer_id(const struct wg_key *key, char ret[static SAMPLES_ID_STRLEN])
{
	char text[KEY_STRLEN];

	hash_id(key_format(key, text), ret);
}

void samples_pair_id(const char *a, const char *b, char ret[static SAMPLES_ID_STRLEN])
{
	bool first = strcmp(a, b) <= 0;
	g_autofree char *both = g_strconcat(first ? a : b, first ? b : a, NULL);

	hash_id(both, ret);
}

/* Who is a customer of its makers, and who has a server of their own. */
static const char *deployment_of(const char *url)
{
	const char *host = strstr(url, "://");
	static const char cloud[] = "api.netbird.io";
	size_t len;

	host = host ? host + 3 : url;
	len = strcspn(host, ":/");
	if (!len)
		return "unknown";
	return len == strlen(cloud) && !g_ascii_strncasecmp(host, cloud, len) ? "cloud"
									      : "selfhosted";
}

void samples_set_network(struct samples *s, const char *url, const struct wg_key *own)
{
	char id[SAMPLES_ID_STRLEN];

	samples_peer_id(own, id);
	s->deployment = deployment_of(url);
	if (!strcmp(id, s->own))
		return;
	g_strlcpy(s->own, id, sizeof(s->own));
	drop(s, (guint)samples_count(s));
	g_hash_table_remove_all(s->met);
}

/* -- taking ----------------------------------------------------------------------------------- */

static void add(struct samples *s, const struct sample *sample)
{
	g_array_append_vals(s->list, sample, 1);
	forget_old(s, sample->wall_ns);
}

/* Has it been connected before? */
static bool meet(struct samples *s, uint64_t remote)
{
	if (g_hash_table_contains(s->met, GSIZE_TO_POINTER(remote)))
		return true;
	if (g_hash_table_size(s->met) < SAMPLES_MAX)
		g_hash_table_add(s->met, GSIZE_TO_POINTER(remote));
	return false;
}

static uint32_t limited(int64_t us)
{
	return (uint32_t)CLAMP(us, 0, UINT32_MAX);
}

static uint32_t between(int64_t from_ms, int64_t to_ms)
{
	return from_ms && to_ms ? limited((to_ms - from_ms) * 1000) : 0;
}

void samples_add_connection(struct samples *s, const struct wg_key *remote,
	const struct samples_stages *stages, int64_t wall_ns)
{
	struct sample sample = { .kind = KIND_CONNECTION, .wall_ns = wall_ns };
	char id[SAMPLES_ID_STRLEN];

	samples_peer_id(remote, id);
	sample.remote = g_ascii_strtoull(id, NULL, 16);
	sample.again = meet(s, sample.remote);
	sample.took_us[0] = between(stages->connection_ms, stages->handshake_ms);
	sample.took_us[1] = between(stages->signaling_ms, stages->connection_ms);
	sample.took_us[2] = between(stages->signaling_ms, stages->handshake_ms);
	add(s, &sample);
}

static void add_duration(
	struct samples *s, enum kind kind, int64_t took_us, bool success, int64_t wall_ns)
{
	add(s,
		&(struct sample){ .kind = (uint8_t)kind,
			.success = success,
			.wall_ns = wall_ns,
			.took_us = { limited(took_us) } });
}

void samples_add_sync(struct samples *s, int64_t took_us, int64_t wall_ns)
{
	add_duration(s, KIND_SYNC, took_us, true, wall_ns);
}

void samples_add_login(struct samples *s, int64_t took_us, bool success, int64_t wall_ns)
{
	add_duration(s, KIND_LOGIN, took_us, success, wall_ns);
}

void samples_add_phase(
	struct samples *s, enum samples_phase phase, int64_t took_us, int64_t wall_ns)
{
	add(s,
		&(struct sample){ .kind = KIND_PHASE,
			.phase = (uint8_t)phase,
			.wall_ns = wall_ns,
			.took_us = { limited(took_us) } });
}

const char *samples_own_id(const struct samples *s)
{
	return s->own;
}

/* -- lines ------------------------------------------------------------------------------------ */

/* The shortest that is read back as the same. */
static void append_seconds(GString *out, const char *name, uint32_t us)
{
	double value = (double)us / 1e6;
	char text[G_ASCII_DTOSTR_BUF_SIZE], format[8];

	for (int digits = 1; digits <= 17; digits++) {
		g_snprintf(format, sizeof(format), "%%.%dg", digits);
		g_ascii_formatd(text, sizeof(text), format, value);
		if (g_ascii_strtod(text, NULL) == value)
			break;
	}
	g_string_append_printf(out, "%s=%s", name, text);
}

static void append_common(const struct samples *s, GString *out)
{
	g_string_append_printf(
		out, ",version=" LAPWING_VERSION ",os=linux,arch=" ARCH ",peer_id=%s", s->own);
}

static void append_connection(const struct samples *s, GString *out, const struct sample *sample)
{
	char remote[SAMPLES_ID_STRLEN], pair[SAMPLES_ID_STRLEN];

	g_snprintf(remote, sizeof(remote), "%016" PRIx64, sample->remote);
	samples_pair_id(s->own, remote, pair);
	g_string_append_printf(out,
		"netbird_peer_connection,deployment_type=%s,connection_type=ice_p2p,attempt_type=%s",
		s->deployment, sample->again ? "reconnection" : "initial");
	append_common(s, out);
	g_string_append_printf(out, ",connection_pair_id=%s ", pair);
	append_seconds(out, "connection_to_wg_handshake_seconds", sample->took_us[0]);
	append_seconds(out, ",signaling_to_connection_seconds", sample->took_us[1]);
	append_seconds(out, ",total_seconds", sample->took_us[2]);
}

static void append_sample(const struct samples *s, GString *out, const struct sample *sample)
{
	static const char *const phases[] = {
		[SAMPLES_SERVERS] = "netbird_config",
		[SAMPLES_SAVING] = "persist",
	};

	switch ((enum kind)sample->kind) {
	case KIND_CONNECTION:
		append_connection(s, out, sample);
		break;
	case KIND_SYNC:
		g_string_append_printf(out, "netbird_sync,deployment_type=%s", s->deployment);
		append_common(s, out);
		append_seconds(out, " duration_seconds", sample->took_us[0]);
		break;
	case KIND_PHASE:
		g_string_append_printf(out, "netbird_sync_phase,deployment_type=%s", s->deployment);
		append_common(s, out);
		g_string_append_printf(out, ",phase=%s", phases[sample->phase]);
		append_seconds(out, " duration_seconds", sample->took_us[0]);
		break;
	case KIND_LOGIN:
		g_string_append_printf(out, "netbird_login,deployment_type=%s,result=%s",
			s->deployment, sample->success ? "success" : "failure");
		append_common(s, out);
		append_seconds(out, " duration_seconds", sample->took_us[0]);
		break;
	}
	g_string_append_printf(out, " %" PRId64 "\n", sample->wall_ns);
}

uint64_t samples_write(struct samples *s, GString *out, size_t max, int64_t wall_ns)
{
	size_t n;

	forget_old(s, wall_ns);
	n = MIN(max, samples_count(s));
	for (guint i = 0; i < n; i++)
		append_sample(s, out, sample_at(s, s->gone + i));
	return s->dropped + n;
}
