/* mgmt/request.c - the plain bytes of what we say to a management server, and of its small answers. */
#include "mgmt/request.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "mgmt/management.pb-c.h"
#include "mgmt/meta.h"

/* What a server makes of it: from 0.48.0 on rules have port ranges, which we understand; below 0.59.0 a
 * single peer holds all others back at the old port of their DNS forwarders. From 0.60.0 on rules for an
 * SSH server of the agent's own come, from 0.64.0 on jobs: we have neither. */
const char request_version[] = "0.59.13";

static uint8_t *pack(const ProtobufCMessage *message, size_t *ret_len)
{
	size_t len = protobuf_c_message_get_packed_size(message);
	uint8_t *data = g_malloc(len ? len : 1);

	*ret_len = protobuf_c_message_pack(message, data);
	return data;
}

/* -- meta ----------------------------------------------------------------------------------- */

/* Everything that a PeerSystemMeta points to. */
struct packing {
	Management__PeerSystemMeta meta;
	Management__Environment environment;
	Management__Flags flags;
	Management__PeerCapability capabilities[2];
	Management__NetworkAddress *addresses;
	Management__NetworkAddress **address_list;
	Management__File *files;
	Management__File **file_list;
};

static void packing_done(struct packing *p)
{
	g_free(p->addresses);
	g_free(p->address_list);
	g_free(p->files);
	g_free(p->file_list);
}

/* protobuf-c knows no const; packing changes nothing. */
static char *text(const char *s)
{
	return (char *)(uintptr_t)s;
}

static void put_lists(struct packing *p, const struct meta *meta)
{
	p->addresses = g_new(Management__NetworkAddress, meta->n_addresses);
	p->address_list = g_new(Management__NetworkAddress *, meta->n_addresses);
	for (size_t i = 0; i < meta->n_addresses; i++) {
		p->address_list[i] = &p->addresses[i];
		management__network_address__init(&p->addresses[i]);
		p->addresses[i].netip = meta->addresses[i].address;
		p->addresses[i].mac = meta->addresses[i].mac;
	}
	p->files = g_new(Management__File, meta->n_files);
	p->file_list = g_new(Management__File *, meta->n_files);
	for (size_t i = 0; i < meta->n_files; i++) {
		p->file_list[i] = &p->files[i];
		management__file__init(&p->files[i]);
		p->files[i].path = meta->files[i].path;
		p->files[i].exist = meta->files[i].exists;
		p->files[i].processisrunning = meta->files[i].runs;
	}
}

/* What we do not do, so that nobody counts on it: what this host has switched off, and what lapwing has
 * not got, whatever the configuration says (routes through this host, DNS). IPv6 we have if the host has it. */
static void put_switches(struct packing *p, const struct meta *meta)
{
	management__flags__init(&p->flags);
	p->flags.disableclientroutes = meta->switches.no_client_routes;
	p->flags.disablefirewall = meta->switches.no_firewall;
	p->flags.disableserverroutes = true;
	p->flags.disabledns = true;
	p->flags.lazyconnectionenabled = true;
	p->flags.disableipv6 = !meta->ipv6;
	p->capabilities[0] = MANAGEMENT__PEER_CAPABILITY__PeerCapabilitySourcePrefixes;
	p->capabilities[1] = MANAGEMENT__PEER_CAPABILITY__PeerCapabilityIPv6Overlay;
	p->meta.flags = &p->flags;
	p->meta.capabilities = p->capabilities;
	p->meta.n_capabilities = meta->ipv6 ? 2 : 1;
}

static void packing_fill(struct packing *p, const struct meta *meta)
{
	Management__PeerSystemMeta *m = &p->meta;

	management__peer_system_meta__init(m);
	m->hostname = text(meta->hostname);
	m->goos = text("linux");
	m->kernel = text(meta->kernel);
	m->kernelversion = text(meta->kernel_release);
	m->platform = text(meta->machine);
	m->os = text(meta->os);
	m->core = m->osversion = text(meta->os_version);
	m->netbirdversion = text(request_version);
	m->sysserialnumber = text(meta->serial);
	m->sysproductname = text(meta->product);
	m->sysmanufacturer = text(meta->vendor);
	management__environment__init(&p->environment);
	p->environment.platform = text(meta->container);
	m->environment = *meta->container ? &p->environment : NULL;
	put_switches(p, meta);
	put_lists(p, meta);
	m->networkaddresses = p->address_list;
	m->n_networkaddresses = meta->n_addresses;
	m->files = p->file_list;
	m->n_files = meta->n_files;
}

/* -- requests ------------------------------------------------------------------------------- */

uint8_t *request_login(const struct meta *meta, const struct wg_key *own_public,
	const char *setup_key, const char *const labels[], size_t *ret_len)
{
	Management__LoginRequest request = MANAGEMENT__LOGIN_REQUEST__INIT;
	Management__PeerKeys keys = MANAGEMENT__PEER_KEYS__INIT;
	struct packing p;
	char key[KEY_STRLEN];
	uint8_t *packed;

	packing_fill(&p, meta);
	key_format(own_public, key);
	keys.wgpubkey = (ProtobufCBinaryData){ KEY_TEXT_LEN, (uint8_t *)key };
	request.meta = &p.meta;
	request.peerkeys = &keys;
	request.setupkey = text(setup_key ? setup_key : "");
	request.n_dnslabels = labels ? g_strv_length((char **)(uintptr_t)labels) : 0;
	request.dnslabels = (char **)(uintptr_t)labels;
	packed = pack(&request.base, ret_len);
	packing_done(&p);
	return packed;
}

uint8_t *request_sync(const struct meta *meta, size_t *ret_len)
{
	Management__SyncRequest request = MANAGEMENT__SYNC_REQUEST__INIT;
	struct packing p;
	uint8_t *packed;

	packing_fill(&p, meta);
	request.meta = &p.meta;
	packed = pack(&request.base, ret_len);
	packing_done(&p);
	return packed;
}

uint8_t *request_job_hello(size_t *ret_len)
{
	Management__JobRequest request = MANAGEMENT__JOB_REQUEST__INIT;
	g_autofree char *id = g_uuid_string_random();

	request.id = (ProtobufCBinaryData){ strlen(id), (uint8_t *)id };
	return pack(&request.base, ret_len);
}

uint8_t *request_job_failed(const uint8_t *id, size_t id_len, const char *why, size_t *ret_len)
{
	Management__JobResponse response = MANAGEMENT__JOB_RESPONSE__INIT;

	response.id = (ProtobufCBinaryData){ id_len, (uint8_t *)(uintptr_t)id };
	response.status = MANAGEMENT__JOB_STATUS__failed;
	response.reason = (ProtobufCBinaryData){ strlen(why), (uint8_t *)text(why) };
	return pack(&response.base, ret_len);
}

/* -- small answers -------------------------------------------------------------------------- */

enum { ANSWER_MAX = 64 * 1024 };

int request_read_key(const uint8_t *data, size_t len, struct wg_key *ret)
{
	Management__ServerKeyResponse *response;
	int r = -EPROTO;

	if (len > ANSWER_MAX)
		return -EPROTO;
	response = management__server_key_response__unpack(NULL, len, data);
	if (!response)
		return -EPROTO;
	if (!key_parse(response->key, strlen(response->key), ret))
		r = 0;
	management__server_key_response__free_unpacked(response, NULL);
	return r;
}

int request_read_job(const uint8_t *plain, size_t len, uint8_t ret_id[static REQUEST_JOB_ID_MAX],
	size_t *ret_len)
{
	Management__JobRequest *request;
	int r = -EPROTO;

	if (len > ANSWER_MAX)
		return -EPROTO;
	request = management__job_request__unpack(NULL, len, plain);
	if (!request)
		return -EPROTO;
	if (!request->id.len) {
		r = -ENOENT;
	} else if (request->id.len <= REQUEST_JOB_ID_MAX) {
		memcpy(ret_id, request->id.data, request->id.len);
		*ret_len = request->id.len;
		r = 0;
	}
	management__job_request__free_unpacked(request, NULL);
	return r;
}
