/* agent/tune/plan_mtu.c - how the WireGuard interface should be set up: its MTU, and receiving in threads. */
#include <stdio.h>
#include <string.h>

#include "agent/tune/plan_impl.h"

enum {
	OVERHEAD4 = 60, /* IPv4, UDP, WireGuard */
	OVERHEAD6 = 80,
	MTU_UNMEASURED = 1420, /* what lies behind the underlay is not known to carry more */
	MTU_OF_KERNEL = 1420, /* what an interface of WireGuard begins with: nobody's choice */
	MTU_MIN = 1280, /* with less, the kernel takes IPv6 off an interface */
};

/* -- MTU -------------------------------------------------------------------------------------- */

/* 0: unknown. */
static uint64_t underlay_mtu(const struct host *host)
{
	uint64_t least = 0, mtu;

	for (unsigned i = 0; i < host->nics->len; i++)
		if (number_parse(nic_at(host, i)->mtu.text, &mtu))
			least = least ? MIN(least, mtu) : mtu;
	return least;
}

/* As it is, though larger packets do not fit: somebody wants it so. */
static void leave_large(struct planner *p, struct item *item, uint64_t now, uint64_t fits)
{
	item_leave(
		item, "somebody has set it, though larger packets do not fit into the underlay's");
	plan_warn(p,
		"packets of %s with its MTU of %" G_GUINT64_FORMAT
		" do not fit into the underlay's, which "
		"has room for %" G_GUINT64_FORMAT "; --only=mtu --force lowers it",
		item->device, now, fits);
}

static void decide_mtu(struct planner *p, struct item *item, uint64_t now, uint64_t fits)
{
	uint64_t safe = CLAMP(fits, MTU_MIN, MTU_UNMEASURED);
	g_autofree char *wanted = g_strdup_printf("%" G_GUINT64_FORMAT, safe);
	bool chosen = now != MTU_OF_KERNEL && !p->options->force;

	if (now > fits && now > safe && chosen)
		leave_large(p, item, now, fits);
	else if (now > fits && now > safe)
		item_want(item, wanted,
			"larger packets do not fit into the underlay's; tune mtu measures what the paths carry");
	else if (fits < MTU_MIN)
		item_leave(item, "the underlay's is too small for more, and IPv6 needs 1280");
	else if (now > safe && chosen)
		item_leave(item, "it fits into the underlay's, and somebody has set it");
	else
		item_want(item, wanted,
			"fewer packets for the same bytes; tune mtu measures what the paths carry");
}

void plan_mtu(struct planner *p)
{
	const struct host_nic *wg = p->host->wireguard;
	uint64_t outer = underlay_mtu(p->host), now;
	bool only4 = p->host->n_peers && !p->host->outer_ipv6;
	unsigned overhead = only4 ? OVERHEAD4 : OVERHEAD6;
	struct item *item;

	if (!wg)
		return;
	item = plan_file(p, FORM_NUMBERS, wg->name, &wg->mtu, g_strdup(wg->name),
		g_strdup_printf("/sys/class/net/%s/mtu", wg->name));
	if (!item_number(item, &now))
		return;
	if (outer < overhead)
		item_refuse(item, "the MTU of the underlay is not known");
	else
		decide_mtu(p, item, now, outer - overhead);
}

/* -- threaded NAPI ---------------------------------------------------------------------------- */

/* Releases in which it is on for WireGuard by itself, and can stop the receiving of a peer for good. */
static const struct {
	unsigned major, minor, first, last;
} stalling[] = {
	{ 5, 15, 186, 200 },
	{ 6, 1, 142, 163 },
	{ 6, 6, 94, 126 },
	{ 6, 12, 34, 73 },
};

bool plan_kernel_stalls(const char *release)
{
	unsigned major = 0, minor = 0, patch = 0;

	if (sscanf(release, "%u.%u.%u", &major, &minor, &patch) < 2)
		return false;
	/* No later one is known to be without it. */
	if (major > 6 || (major == 6 && minor >= 16))
		return true;
	for (unsigned i = 0; i < G_N_ELEMENTS(stalling); i++)
		if (stalling[i].major == major && stalling[i].minor == minor)
			return patch >= stalling[i].first && patch <= stalling[i].last;
	return false;
}

/* Kernels that took the default back have kept the fault, and distributions take changes over without a new
 * number: no release is known to be without it. So threads are never switched on. */
void plan_threaded(struct planner *p)
{
	const struct host_nic *wg = p->host->wireguard;
	struct item *item;

	if (!wg)
		return;
	item = plan_file(p, FORM_NUMBERS, wg->name, &wg->threaded, g_strdup(wg->name),
		g_strdup_printf("/sys/class/net/%s/threaded", wg->name));
	if (!item->current)
		return;
	if (p->host->userspace)
		return item_refuse(item, "a program receives here");
	if (item_is_equal(FORM_NUMBERS, item->current, "0"))
		return item_refuse(item,
			"no kernel is known in which the receiving of a peer cannot stall with it");
	plan_warn(p,
		"%s receives in threads, and Linux %s %s stall for good with that (CVE-2026-52945); "
		"--only=threaded --force switches it off",
		wg->name, p->host->kernel,
		plan_kernel_stalls(p->host->kernel) ? "is known to" : "may");
	if (p->options->force)
		item_want(item, "0", "the receiving of a peer can stall for good with it");
	else
		item_refuse(item,
			"the receiving of a peer can stall for good with it: --force switches it off");
}
