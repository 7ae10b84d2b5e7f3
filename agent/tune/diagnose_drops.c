/* agent/tune/diagnose_drops.c - where packets get lost, and what helps there. */
#include <inttypes.h>
#include <string.h>

#include "agent/tune/diagnose_impl.h"

static bool is_wireguard(const struct view *v, const struct sample_link *link)
{
	return v->host->wireguard && !strcmp(link->name, v->host->wireguard->name);
}

static void judge_nic(struct view *v, const struct sample_link *l)
{
	uint64_t drops = MAX(l->nic_drops, l->rx_missed);
	const char *name = l->nic_worst[0] ? l->nic_worst : "rx_missed_errors";
	bool limit = strstr(name, "allowance") != NULL;

	if (diagnose_is_many(v, drops))
		finding_add(v, FINDING_NIC_DROPS, -1, "5.2", limit ? 0 : knob_bit(KNOB_RINGS),
			"%s loses %" PRIu64 " packets/s itself (%s): %s", l->name,
			diagnose_rate(v, drops), name,
			limit ? "the provider's limit for this machine" : "its ring is too small");
}

static void judge_link(struct view *v, const struct sample_link *l, bool backlog)
{
	if (diagnose_is_many(v, l->tx_dropped) && is_wireguard(v, l))
		finding_add(v, FINDING_WIREGUARD_DROPS, -1, "5.2", 0,
			"%s drops %" PRIu64
			" packets/s that it is to send: there is no session with their peer, or encryption does not keep up",
			l->name, diagnose_rate(v, l->tx_dropped));
	else if (diagnose_is_many(v, l->tx_dropped))
		finding_add(v, FINDING_TX_DROPS, -1, "5.2", knob_bit(KNOB_QDISC),
			"%s drops %" PRIu64 " packets/s that it is to send: its queue overflows",
			l->name, diagnose_rate(v, l->tx_dropped));
	/* What a backlog drops is counted here too. */
	if (diagnose_is_many(v, l->rx_dropped) && !backlog)
		finding_add(v, FINDING_RX_DROPS, -1, "5.1", 0,
			"the kernel drops %" PRIu64 " packets/s that %s has received",
			diagnose_rate(v, l->rx_dropped), l->name);
}

/* Did it drop? */
static bool judge_backlog(struct view *v)
{
	uint64_t dropped = 0;
	const struct sample_cpu *worst = NULL;

	for (guint i = 0; i < v->d->cpus->len; i++) {
		const struct sample_cpu *c = &g_array_index(v->d->cpus, struct sample_cpu, i);

		dropped += c->dropped;
		if (!worst || c->dropped > worst->dropped)
			worst = c;
	}
	if (diagnose_is_many(v, dropped))
		finding_add(v, FINDING_BACKLOG_DROPS, (int)worst->cpu, "4.5",
			knob_bit(KNOB_BACKLOG) | knob_bit(KNOB_BUDGET) |
				knob_bit(KNOB_BUDGET_USECS),
			"the backlog of CPU%u overflows: %" PRIu64 " packets/s are dropped%s",
			worst->cpu, diagnose_rate(v, dropped),
			worst->dropped < dropped ? " there and on other cores" : "");
	return diagnose_is_many(v, dropped);
}

static void judge_conntrack(struct view *v)
{
	const char *text = v->host->sysctls[SYSCTL_CONNTRACK_MAX].text;
	uint64_t room = text ? g_ascii_strtoull(text, NULL, 10) : 0, n = v->host->conntrack_count;

	if (!diagnose_is_many(v, v->d->conntrack_failed))
		return;
	if (room && percent_of(n, room) < DIAGNOSE_MOST)
		finding_add(v, FINDING_CONNTRACK, -1, "5.2", 0,
			"conntrack refuses %" PRIu64
			" packets/s though its table has room (%" PRIu64 " of %" PRIu64
			"): they clash, it is not too small",
			diagnose_rate(v, v->d->conntrack_failed), n, room);
	else
		finding_add(v, FINDING_CONNTRACK, -1, "5.2", knob_bit(KNOB_CONNTRACK),
			"conntrack refuses %" PRIu64 " packets/s: its table is full",
			diagnose_rate(v, v->d->conntrack_failed));
}

/* That drops most; NULL: none is known to drop much. */
static const struct sample_socket *worst_socket(const struct view *v)
{
	const struct sample_socket *worst = NULL;

	for (guint i = 0; i < v->d->sockets->len; i++) {
		const struct sample_socket *s = &g_array_index(
			v->d->sockets, struct sample_socket, i);

		if (diagnose_is_many(v, s->drops) && (!worst || s->drops > worst->drops))
			worst = s;
	}
	return worst;
}

/* Packets of WireGuard in the kernel never wait in a socket. */
static void judge_udp(struct view *v)
{
	const struct sample_socket *socket = worst_socket(v);
	const struct sample_udp *udp = &v->d->udp;
	uint64_t drops = MAX(udp->in_errors, socket ? socket->drops : 0);
	const char *tunnel = v->host->userspace
		? ""
		: ", which is not the tunnel: WireGuard in the kernel has no such queue";

	if (diagnose_is_many(v, drops) && socket)
		finding_add(v, FINDING_UDP_RECEIVE, -1, "5.2", knob_bit(KNOB_RMEM),
			"the UDP socket of %s on port %u drops %" PRIu64 " packets/s%s",
			socket->program[0] ? socket->program : "an unknown program", socket->port,
			diagnose_rate(v, socket->drops), tunnel);
	else if (diagnose_is_many(v, drops))
		finding_add(v, FINDING_UDP_RECEIVE, -1, "5.2",
			diagnose_is_many(v, udp->rcvbuf_errors) ? knob_bit(KNOB_RMEM) : 0,
			"UDP loses %" PRIu64 " packets/s%s, of which socket is unknown",
			diagnose_rate(v, drops),
			diagnose_is_many(v, udp->rcvbuf_errors) ? " for lack of buffers" : "");
	if (diagnose_is_many(v, udp->sndbuf_errors))
		finding_add(v, FINDING_UDP_SEND, -1, "5.2", knob_bit(KNOB_WMEM),
			"%" PRIu64
			" UDP packets/s find no room in the buffer of the socket that sends them",
			diagnose_rate(v, udp->sndbuf_errors));
}

void diagnose_drops(struct view *v)
{
	bool backlog = judge_backlog(v);

	for (guint i = 0; i < v->d->links->len; i++) {
		judge_nic(v, link_at(v, i));
		judge_link(v, link_at(v, i), backlog);
	}
	judge_conntrack(v);
	judge_udp(v);
	v->lossy = v->findings->len > 0;
}
