/* tests/unit/test_request.c - what we say to a server, byte for byte where somebody else wrote the bytes. */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "mgmt/envelope.h"
#include "mgmt/management.pb-c.h"
#include "mgmt/meta.h"
#include "mgmt/request.h"
#include "tests/unit/hex.h"

#define KEY_PUBLIC "B6N8vBQgk8i3VdwbEOhstCY3StFqqFPtC9/AsrhtHHw="
#define SETUP_KEY "11111111-2222-3333-4444-555555555555"

static struct wg_key key_of(const char *text)
{
	struct wg_key key;

	g_assert_cmpint(key_parse(text, strlen(text), &key), ==, 0);
	return key;
}

static char *hex(const uint8_t *data, size_t len)
{
	GString *out = g_string_new(NULL);

	for (size_t i = 0; i < len; i++)
		g_string_append_printf(out, "%02x", data[i]);
	return g_string_free(out, FALSE);
}

#define LOGIN_HEX \
	"0a2431313131313131312d323232322d333333332d343434342d35353535353535353535353512190a047372763112056c696e75783a06302e36302e3092010101"

/* The document's own message, made by our messages: numbers, types and packing are right. */
static void test_vector(void)
{
	Management__PeerSystemMeta meta = MANAGEMENT__PEER_SYSTEM_META__INIT;
	Management__LoginRequest request = MANAGEMENT__LOGIN_REQUEST__INIT;
	Management__PeerCapability one = MANAGEMENT__PEER_CAPABILITY__PeerCapabilitySourcePrefixes;
	char setup_key[] = SETUP_KEY, hostname[] = "srv1", os[] = "linux", version[] = "0.60.0";
	g_autofree char *text = NULL;
	uint8_t packed[200];
	size_t len;

	meta.hostname = hostname;
	meta.goos = os;
	meta.netbirdversion = version;
	meta.capabilities = &one;
	meta.n_capabilities = 1;
	request.setupkey = setup_key;
	request.meta = &meta;
	len = management__login_request__pack(&request, packed);
	text = hex(packed, len);
	g_assert_cmpstr(text, ==, LOGIN_HEX);
}

/* And read as a server reads it: nothing else is in it. */
static void test_vector_read(void)
{
	size_t len;
	g_autofree uint8_t *packed = hex_to_bytes(LOGIN_HEX, &len);
	Management__LoginRequest *r = management__login_request__unpack(NULL, len, packed);

	g_assert_nonnull(r);
	g_assert_cmpstr(r->setupkey, ==, SETUP_KEY);
	g_assert_cmpstr(r->meta->hostname, ==, "srv1");
	g_assert_cmpstr(r->meta->goos, ==, "linux");
	g_assert_cmpstr(r->meta->netbirdversion, ==, "0.60.0");
	g_assert_cmpuint(r->meta->n_capabilities, ==, 1);
	g_assert_cmpint(r->meta->capabilities[0], ==,
		MANAGEMENT__PEER_CAPABILITY__PeerCapabilitySourcePrefixes);
	g_assert_cmpuint(r->base.n_unknown_fields + r->meta->base.n_unknown_fields, ==, 0);
	management__login_request__free_unpacked(r, NULL);
}

static void fill(struct meta *m, struct meta_address *address, struct meta_file *file)
{
	*address = (struct meta_address){ "192.0.2.5/24", "02:00:00:00:00:01" };
	*file = (struct meta_file){ (char *)(uintptr_t) "/usr/bin/a", true, true };
	*m = (struct meta){ .hostname = "srv1",
		.kernel = "Linux",
		.kernel_release = "6.1.0-1",
		.machine = "x86_64",
		.os = "Debian",
		.os_version = "13",
		.serial = "s",
		.product = "p",
		.vendor = "v",
		.container = "",
		.ipv6 = true,
		.addresses = address,
		.n_addresses = 1,
		.files = file,
		.n_files = 1 };
}

static void check_meta(const Management__PeerSystemMeta *m)
{
	g_assert_cmpstr(m->hostname, ==, "srv1");
	g_assert_cmpstr(m->goos, ==, "linux");
	g_assert_cmpstr(m->kernel, ==, "Linux");
	g_assert_cmpstr(m->core, ==, "13");
	g_assert_cmpstr(m->platform, ==, "x86_64");
	g_assert_cmpstr(m->os, ==, "Debian");
	g_assert_cmpstr(m->netbirdversion, ==, "0.59.13");
	g_assert_cmpstr(m->uiversion, ==, "");
	g_assert_cmpstr(m->kernelversion, ==, "6.1.0-1");
	g_assert_cmpstr(m->osversion, ==, "13");
	g_assert_cmpuint(m->n_networkaddresses, ==, 1);
	g_assert_cmpstr(m->networkaddresses[0]->netip, ==, "192.0.2.5/24");
	g_assert_cmpstr(m->networkaddresses[0]->mac, ==, "02:00:00:00:00:01");
	g_assert_cmpstr(m->sysserialnumber, ==, "s");
	g_assert_cmpstr(m->sysproductname, ==, "p");
	g_assert_cmpstr(m->sysmanufacturer, ==, "v");
	g_assert_cmpuint(m->n_files, ==, 1);
	g_assert_cmpstr(m->files[0]->path, ==, "/usr/bin/a");
	g_assert_true(m->files[0]->exist && m->files[0]->processisrunning);
	g_assert_true(m->flags->disableserverroutes && m->flags->disabledns);
	g_assert_false(
		m->flags->serversshallowed || m->flags->blockinbound || m->flags->disablefirewall);
	g_assert_false(m->flags->disableipv6);
	g_assert_cmpuint(m->n_capabilities, ==, 2);
	g_assert_cmpint(m->syncmessageversion, ==, 0);
}

static void test_login(void)
{
	static const char *const labels[] = { "web", "*.db", NULL };
	struct wg_key public_key = key_of(KEY_PUBLIC);
	struct meta_address address;
	struct meta_file file;
	struct meta meta;
	Management__LoginRequest *r;
	uint8_t *packed;
	size_t len;

	fill(&meta, &address, &file);
	packed = request_login(&meta, &public_key, SETUP_KEY, labels, &len);
	r = management__login_request__unpack(NULL, len, packed);
	g_assert_nonnull(r);
	g_assert_cmpstr(r->setupkey, ==, SETUP_KEY);
	g_assert_cmpstr(r->jwttoken, ==, "");
	g_assert_cmpuint(r->n_dnslabels, ==, 2);
	g_assert_cmpstr(r->dnslabels[1], ==, "*.db");
	g_assert_cmpuint(r->peerkeys->sshpubkey.len, ==, 0);
	g_assert_cmpmem(
		r->peerkeys->wgpubkey.data, r->peerkeys->wgpubkey.len, KEY_PUBLIC, KEY_TEXT_LEN);
	check_meta(r->meta);
	management__login_request__free_unpacked(r, NULL);
	envelope_wipe(packed, len);

	/* A probe of a host with nothing to tell. */
	meta = (struct meta){ .container = "" };
	packed = request_login(&meta, &public_key, NULL, NULL, &len);
	r = management__login_request__unpack(NULL, len, packed);
	g_assert_cmpstr(r->setupkey, ==, "");
	g_assert_cmpuint(r->n_dnslabels, ==, 0);
	g_assert_cmpuint(r->meta->n_capabilities, ==, 1);
	g_assert_true(r->meta->flags->disableipv6);
	g_assert_null(r->meta->environment);
	management__login_request__free_unpacked(r, NULL);
	envelope_wipe(packed, len);
}

static void test_sync(void)
{
	struct meta_address address;
	struct meta_file file;
	struct meta meta;
	Management__SyncRequest *r;
	g_autofree uint8_t *packed = NULL;
	size_t len;

	fill(&meta, &address, &file);
	meta.container = "Docker";
	packed = request_sync(&meta, &len);
	r = management__sync_request__unpack(NULL, len, packed);
	check_meta(r->meta);
	g_assert_cmpstr(r->meta->environment->platform, ==, "Docker");
	management__sync_request__free_unpacked(r, NULL);
}

/* Each switch is the field of its name, and what is not there is off whatever is switched. */
static void test_switches(void)
{
	struct meta meta = { .container = "", .ipv6 = true };

	for (int i = 0; i < 4; i++) {
		Management__SyncRequest *r;
		g_autofree uint8_t *packed = NULL;
		size_t len;

		meta.switches = (struct meta_switches){ .no_client_routes = i & 1,
			.no_firewall = i & 2 };
		packed = request_sync(&meta, &len);
		r = management__sync_request__unpack(NULL, len, packed);
		g_assert_cmpint(r->meta->flags->disableclientroutes, ==, !!(i & 1));
		g_assert_cmpint(r->meta->flags->disablefirewall, ==, !!(i & 2));
		g_assert_true(r->meta->flags->disableserverroutes && r->meta->flags->disabledns);
		g_assert_true(r->meta->flags->lazyconnectionenabled);
		management__sync_request__free_unpacked(r, NULL);
	}
}

static void test_job(void)
{
	uint8_t id[REQUEST_JOB_ID_MAX];
	g_autofree uint8_t *hello = NULL, *answer = NULL;
	Management__JobResponse *response;
	size_t len, id_len;

	hello = request_job_hello(&len);
	g_assert_cmpint(request_read_job(hello, len, id, &id_len), ==, 0);
	g_assert_cmpuint(id_len, ==, 36);
	answer = request_job_failed(id, id_len, "job not implemented", &len);
	response = management__job_response__unpack(NULL, len, answer);
	g_assert_cmpmem(response->id.data, response->id.len, id, id_len);
	g_assert_cmpint(response->status, ==, MANAGEMENT__JOB_STATUS__failed);
	g_assert_cmpmem(response->reason.data, response->reason.len, "job not implemented", 19);
	management__job_response__free_unpacked(response, NULL);

	g_assert_cmpint(request_read_job((const uint8_t *)"", 0, id, &id_len), ==, -ENOENT);
	g_assert_cmpint(
		request_read_job((const uint8_t *)"\x0a\x05x", 3, id, &id_len), ==, -EPROTO);
}

static void test_limits(void)
{
	g_autofree uint8_t *big = g_malloc0(1024 * 1024);
	uint8_t id[REQUEST_JOB_ID_MAX];
	struct wg_key key;
	size_t id_len;

	g_assert_cmpint(request_read_job(big, 1024 * 1024, id, &id_len), ==, -EPROTO);
	g_assert_cmpint(request_read_key(big, 1024 * 1024, &key), ==, -EPROTO);
	memcpy(big, "\x0a\x81\x02", 3); /* 257 bytes of an id */
	g_assert_cmpint(request_read_job(big, 260, id, &id_len), ==, -EPROTO);
	memcpy(big, "\x0a\x80\x02", 3);
	g_assert_cmpint(request_read_job(big, 259, id, &id_len), ==, 0);
	g_assert_cmpuint(id_len, ==, 256);
}

static void test_key(void)
{
	struct wg_key expected = key_of(KEY_PUBLIC), key;
	static const uint8_t good[] = "\x0a\x2c" KEY_PUBLIC "\x12\x02\x08\x07\xf8\x01\x01";

	g_assert_cmpint(request_read_key(good, sizeof(good) - 1, &key), ==, 0);
	g_assert_true(key_is_same(&key, &expected));
	g_assert_cmpint(request_read_key(good, 0, &key), ==, -EPROTO);
	for (size_t len = 1; len < 46; len++)
		g_assert_cmpint(request_read_key(good, len, &key), ==, -EPROTO);
	g_assert_cmpint(request_read_key((const uint8_t *)"\xff\xff\xff", 3, &key), ==, -EPROTO);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/request/vector", test_vector);
	g_test_add_func("/request/vector-read", test_vector_read);
	g_test_add_func("/request/login", test_login);
	g_test_add_func("/request/sync", test_sync);
	g_test_add_func("/request/switches", test_switches);
	g_test_add_func("/request/job", test_job);
	g_test_add_func("/request/limits", test_limits);
	g_test_add_func("/request/key", test_key);
	return g_test_run();
}
