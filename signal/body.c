/* signal/body.c - bodies and their envelopes. Read by walking over the fields, as most of the fields of a
 * stranger's message are of no use; written by protobuf-c. */
#include "signal/body.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "agent/base/wire.h"
#include "signal/signalexchange.pb-c.h"

/* Of EncryptedMessage. */
enum { FIELD_KEY = 2, FIELD_REMOTE_KEY = 3, FIELD_BODY = 4 };

/* Of Body. */
enum {
	FIELD_TYPE = 1,
	FIELD_PAYLOAD = 2,
	FIELD_PORT = 3,
	FIELD_VERSION = 4,
	FIELD_ROSENPASS = 7,
	FIELD_RELAY = 8,
	FIELD_SESSION = 10,
	FIELD_RELAY_IP = 11,
};
enum { FIELD_ROSENPASS_KEY = 1 };

/* -- reading -------------------------------------------------------------------------------- */

/* Visible ASCII, as long as allowed; else it counts as not said. */
static int copy_text(struct wire_bytes from, char *ret, size_t max)
{
	if (from.len > max)
		return -EINVAL;
	for (size_t i = 0; i < from.len; i++)
		if (!g_ascii_isgraph((char)from.data[i]))
			return -EINVAL;
	if (from.len)
		memcpy(ret, from.data, from.len);
	ret[from.len] = '\0';
	return 0;
}

static bool has_rosenpass(struct wire_bytes config)
{
	struct wire wire = wire_begin(config);
	struct wire_field field;
	bool has = false;

	while (wire_next(&wire, &field))
		if (field.number == FIELD_ROSENPASS_KEY)
			has = field.bytes.len > 0;
	return has && !wire.bad;
}

static void read_relay_address(struct wire_bytes bytes, struct prefix *ret)
{
	if (bytes.len != 4 && bytes.len != 16)
		return;
	*ret = (struct prefix){ .family = bytes.len == 4 ? AF_INET : AF_INET6,
		.bits = (uint8_t)(bytes.len * 8) };
	memcpy(ret->addr, bytes.data, bytes.len);
}

static void read_offer_field(const struct wire_field *field, struct signal_offer *o)
{
	switch (field->number) {
	case FIELD_PORT:
		o->wg_port = field->value <= UINT16_MAX ? (uint16_t)field->value : 0;
		break;
	case FIELD_VERSION:
		(void)copy_text(field->bytes, o->version, SIGNAL_VERSION_MAX);
		break;
	case FIELD_ROSENPASS:
		o->rosenpass = has_rosenpass(field->bytes);
		break;
	case FIELD_RELAY:
		(void)copy_text(field->bytes, o->relay, SIGNAL_RELAY_MAX);
		break;
	case FIELD_SESSION:
		o->has_session = field->bytes.len == SIGNAL_SESSION_LEN;
		if (o->has_session)
			memcpy(o->session, field->bytes.data, SIGNAL_SESSION_LEN);
		break;
	case FIELD_RELAY_IP:
		read_relay_address(field->bytes, &o->relay_address);
		break;
	}
}

/* "ufrag:pwd". One of them alone is as good as none. */
static int read_credentials(struct wire_bytes payload, struct signal_offer *o)
{
	const uint8_t *colon = payload.len ? memchr(payload.data, ':', payload.len) : NULL;
	struct wire_bytes ufrag, pwd;

	if (!colon)
		return -EINVAL;
	ufrag = (struct wire_bytes){ payload.data, (size_t)(colon - payload.data) };
	pwd = (struct wire_bytes){ colon + 1, payload.len - ufrag.len - 1 };
	if (memchr(pwd.data, ':', pwd.len))
		return -EINVAL;
	if (!ufrag.len || !pwd.len)
		return 0;
	if (copy_text(pwd, o->pwd, SIGNAL_ICE_MAX) < 0)
		return -EINVAL;
	return copy_text(ufrag, o->ufrag, SIGNAL_ICE_MAX);
}

static int read_payload(uint64_t type, struct wire_bytes payload, const struct signal_offer *offer,
	struct signal_body *ret)
{
	ret->type = (enum signal_type)type;
	switch (type) {
	case SIGNAL_OFFER:
	case SIGNAL_ANSWER:
		ret->offer = *offer;
		return read_credentials(payload, &ret->offer);
	case SIGNAL_CANDIDATE:
		return candidate_parse((const char *)payload.data, payload.len, &ret->candidate);
	case SIGNAL_GO_IDLE:
	case SIGNAL_HEARTBEAT:
		return 0;
	default:
		return -ENOTSUP;
	}
}

int signal_body_decode(const uint8_t *plain, size_t len, struct signal_body *ret)
{
	struct wire wire = wire_begin((struct wire_bytes){ plain, len });
	struct signal_offer offer = { 0 };
	struct wire_bytes payload = { (const uint8_t *)"", 0 };
	struct signal_body body = { 0 };
	struct wire_field field;
	uint64_t type = SIGNAL_OFFER;
	int r;

	while (wire_next(&wire, &field)) {
		if (field.number == FIELD_TYPE)
			type = field.value;
		else if (field.number == FIELD_PAYLOAD && field.has_bytes)
			payload = field.bytes;
		else
			read_offer_field(&field, &offer);
	}
	if (wire.bad)
		return -EPROTO;
	r = read_payload(type, payload, &offer, &body);
	if (r == 0)
		*ret = body;
	return r;
}

static bool read_key(const struct wire_field *field, struct wg_key *ret)
{
	return key_parse((const char *)field->bytes.data, field->bytes.len, ret) == 0;
}

int signal_envelope_read(const uint8_t *message, size_t len, struct signal_envelope *ret)
{
	struct wire wire = wire_begin((struct wire_bytes){ message, len });
	struct signal_envelope e = { 0 };
	bool from = false, to = false;
	struct wire_field field;

	while (wire_next(&wire, &field)) {
		if (field.number == FIELD_KEY)
			from = read_key(&field, &e.from);
		else if (field.number == FIELD_REMOTE_KEY)
			to = read_key(&field, &e.to);
		else if (field.number == FIELD_BODY) {
			e.box = field.bytes.data;
			e.box_len = field.bytes.len;
		}
	}
	if (wire.bad || !from || !to || e.box_len < BOX_OVERHEAD)
		return -EPROTO;
	*ret = e;
	return 0;
}

/* -- writing -------------------------------------------------------------------------------- */

static uint8_t *pack(const Signalexchange__Body *body, size_t *ret_len)
{
	uint8_t *bytes;

	*ret_len = signalexchange__body__get_packed_size(body);
	bytes = g_malloc(*ret_len + 1); /* never NULL */
	signalexchange__body__pack(body, bytes);
	return bytes;
}

static uint8_t *encode_offer(
	Signalexchange__Body *body, const struct signal_offer *o, size_t *ret_len)
{
	Signalexchange__RosenpassConfig rosenpass = SIGNALEXCHANGE__ROSENPASS_CONFIG__INIT;
	char payload[2 * SIGNAL_ICE_MAX + 2];
	uint8_t *bytes;

	g_snprintf(payload, sizeof(payload), "%s:%s", o->ufrag, o->pwd);
	body->payload = payload;
	body->has_wglistenport = o->wg_port != 0;
	body->wglistenport = o->wg_port;
	body->netbirdversion = o->version[0] ? (char *)o->version : NULL;
	body->rosenpassconfig = &rosenpass;
	body->relayserveraddress = o->relay[0] ? (char *)o->relay : NULL;
	body->has_sessionid = o->has_session;
	body->sessionid = (ProtobufCBinaryData){ SIGNAL_SESSION_LEN, (uint8_t *)o->session };
	body->has_relayserverip = o->relay_address.family != 0;
	body->relayserverip = (ProtobufCBinaryData){ prefix_width(&o->relay_address) / 8,
		(uint8_t *)o->relay_address.addr };
	bytes = pack(body, ret_len);
	explicit_bzero(payload, sizeof(payload));
	return bytes;
}

uint8_t *signal_body_encode(const struct signal_body *body, size_t *ret_len)
{
	Signalexchange__Body out = SIGNALEXCHANGE__BODY__INIT;
	char line[CANDIDATE_LINE_MAX];

	out.has_type = body->type != SIGNAL_OFFER;
	out.type = (Signalexchange__Body__Type)body->type;
	switch (body->type) {
	case SIGNAL_OFFER:
	case SIGNAL_ANSWER:
		return encode_offer(&out, &body->offer, ret_len);
	case SIGNAL_CANDIDATE:
		out.payload = (char *)candidate_format(&body->candidate, line);
		break;
	case SIGNAL_GO_IDLE:
	case SIGNAL_HEARTBEAT:
	case SIGNAL_TYPES:
		break;
	}
	return pack(&out, ret_len);
}

static uint8_t *put_key(uint8_t *at, unsigned field, const struct wg_key *key)
{
	char text[KEY_STRLEN];

	at = wire_put_head(at, field, KEY_TEXT_LEN);
	memcpy(at, key_format(key, text), KEY_TEXT_LEN);
	return at + KEY_TEXT_LEN;
}

uint8_t *signal_seal(const uint8_t nonce[static BOX_NONCE], const struct wg_key *own_private,
	const struct wg_key *own_public, const struct wg_key *remote, const uint8_t *plain,
	size_t len, size_t *ret_len)
{
	size_t box_len = len + BOX_OVERHEAD;
	size_t total = 2 * (2 + KEY_TEXT_LEN) + 1 + wire_varint_len(box_len) + box_len;
	uint8_t *message = g_malloc(total), *at = message;

	at = put_key(at, FIELD_KEY, own_public);
	at = put_key(at, FIELD_REMOTE_KEY, remote);
	at = wire_put_head(at, FIELD_BODY, box_len);
	if (box_seal(nonce, own_private, remote, plain, len, at) < 0) {
		g_free(message);
		return NULL;
	}
	*ret_len = total;
	return message;
}
