/* ice/packet.c - cuts what stands behind a STUN message in a packet. */
#include "ice/packet.h"

#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <string.h>

#include "ice/stun.h"

/* The sum of 16-bit words; it can be continued. */
static uint32_t add_words(uint32_t sum, const uint8_t *at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sum += i % 2 ? at[i] : (uint32_t)at[i] << 8;
	return sum;
}

static uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

/* Where the UDP header is; 0: there is none, or the packet is a fragment or damaged. */
static size_t find_udp(const uint8_t *packet, size_t len)
{
	struct iphdr v4;
	struct ip6_hdr v6;

	if (len >= sizeof(v4) && packet[0] >> 4 == 4) {
		memcpy(&v4, packet, sizeof(v4));
		if (v4.protocol != IPPROTO_UDP || ntohs(v4.frag_off) & 0x3fff || v4.ihl < 5 ||
			ntohs(v4.tot_len) != len)
			return 0;
		return v4.ihl * 4u;
	}
	if (len >= sizeof(v6) && packet[0] >> 4 == 6) {
		memcpy(&v6, packet, sizeof(v6));
		if (v6.ip6_nxt != IPPROTO_UDP || ntohs(v6.ip6_plen) != len - sizeof(v6))
			return 0;
		return sizeof(v6);
	}
	return 0;
}

static void mend_ip(uint8_t *packet, size_t udp_at, size_t len)
{
	uint16_t value = htons((uint16_t)len), zero = 0;

	if (packet[0] >> 4 == 6) {
		value = htons((uint16_t)(len - udp_at));
		memcpy(packet + offsetof(struct ip6_hdr, ip6_plen), &value, sizeof(value));
		return;
	}
	memcpy(packet + offsetof(struct iphdr, tot_len), &value, sizeof(value));
	memcpy(packet + offsetof(struct iphdr, check), &zero, sizeof(zero));
	value = fold(add_words(0, packet, udp_at));
	memcpy(packet + offsetof(struct iphdr, check), &value, sizeof(value));
}

/* The checksum may have been left to a network card: it is always made anew. */
static void mend_udp(uint8_t *packet, size_t udp_at, size_t len)
{
	bool v6 = packet[0] >> 4 == 6;
	size_t addresses = v6 ? offsetof(struct ip6_hdr, ip6_src) : offsetof(struct iphdr, saddr);
	struct udphdr udp;
	uint32_t sum;

	memcpy(&udp, packet + udp_at, sizeof(udp));
	udp.len = htons((uint16_t)(len - udp_at));
	udp.check = 0;
	memcpy(packet + udp_at, &udp, sizeof(udp));
	sum = add_words(IPPROTO_UDP + (uint32_t)(len - udp_at), packet + addresses, v6 ? 32 : 8);
	udp.check = fold(add_words(sum, packet + udp_at, len - udp_at));
	if (!udp.check)
		udp.check = 0xffff;
	memcpy(packet + udp_at, &udp, sizeof(udp));
}

size_t packet_cut(uint8_t *packet, size_t len)
{
	size_t udp_at = find_udp(packet, len), payload, cut;
	struct udphdr udp;

	if (!udp_at || len < udp_at + sizeof(udp))
		return len;
	memcpy(&udp, packet + udp_at, sizeof(udp));
	payload = len - udp_at - sizeof(udp);
	if (ntohs(udp.len) != len - udp_at)
		return len;
	cut = stun_cut(packet + udp_at + sizeof(udp), payload);
	if (cut == payload)
		return len;
	len -= payload - cut;
	mend_ip(packet, udp_at, len);
	mend_udp(packet, udp_at, len);
	return len;
}
