/* netlink/qdisc.c - queueing disciplines through rtnetlink. */
#include "netlink/qdisc.h"

#include <errno.h>
#include <glib.h>
#include <libmnl/libmnl.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "netlink/attr.h"
#include "netlink/nl.h"

/* -- reading -------------------------------------------------------------------------------- */

struct found {
	uint32_t handle, parent;
	struct qdisc qdisc;
};

struct walk {
	unsigned ifindex;
	GArray *all; /* struct found */
};

/* The kernel lists those of all devices. */
static int take_qdisc(const struct nlmsghdr *nlh, void *user)
{
	const struct tcmsg *tcm = NLMSG_DATA(nlh);
	const struct nlattr *table[TCA_KIND + 1];
	struct walk *walk = user;
	struct found found = { 0 };

	if (nlh->nlmsg_type != RTM_NEWQDISC || nlh->nlmsg_len < NLMSG_LENGTH(sizeof(*tcm)) ||
		attr_sort(attr_walk_message(nlh, sizeof(*tcm)), table, G_N_ELEMENTS(table)) < 0 ||
		!table[TCA_KIND])
		return -EPROTO;
	if ((unsigned)tcm->tcm_ifindex != walk->ifindex)
		return 0;
	if (walk->all->len > QDISC_QUEUES_MAX)
		return -E2BIG;
	found.handle = tcm->tcm_handle;
	found.parent = tcm->tcm_parent;
	attr_text(table[TCA_KIND], found.qdisc.kind, sizeof(found.qdisc.kind));
	g_array_append_val(walk->all, found);
	return 0;
}

static int compare_parents(gconstpointer a, gconstpointer b)
{
	uint32_t left = ((const struct found *)a)->parent,
		 right = ((const struct found *)b)->parent;

	return (left > right) - (left < right);
}

/* Queue i of a root with handle H is the class H:(i + 1). */
static void take_queues(GArray *all, struct qdisc_root *root)
{
	const struct found *f;

	root->queues = g_new0(struct qdisc, all->len);
	g_array_sort(all, compare_parents);
	for (unsigned i = 0; i < all->len; i++) {
		f = &g_array_index(all, struct found, i);
		if (f->parent != TC_H_ROOT && TC_H_MAJ(f->parent) == TC_H_MAJ(root->handle) &&
			TC_H_MIN(f->parent))
			root->queues[root->n_queues++] = f->qdisc;
	}
}

int qdisc_read(struct nl *nl, unsigned ifindex, struct qdisc_root *ret)
{
	g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(struct found));
	struct walk walk = { ifindex, all };
	const struct found *root = NULL;
	struct nl_request q;
	struct tcmsg *tcm = nl_begin(&q, RTM_GETQDISC, 0, sizeof(*tcm));
	int r;

	tcm->tcm_ifindex = (int)ifindex;
	r = nl_dump(nl, &q.nlh, take_qdisc, &walk);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < all->len && !root; i++)
		if (g_array_index(all, struct found, i).parent == TC_H_ROOT)
			root = &g_array_index(all, struct found, i);
	if (!root)
		return -EOPNOTSUPP;
	*ret = (struct qdisc_root){ .qdisc = root->qdisc, .handle = root->handle };
	if (strcmp(ret->qdisc.kind, "mq") == 0)
		take_queues(all, ret);
	return 0;
}

void qdisc_root_clear(struct qdisc_root *root)
{
	g_clear_pointer(&root->queues, g_free);
	root->n_queues = 0;
}

/* -- changing ------------------------------------------------------------------------------- */

static int replace(
	struct nl *nl, unsigned ifindex, uint32_t parent, uint32_t handle, const char *kind)
{
	struct nl_request q;
	struct tcmsg *tcm = nl_begin(&q, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, sizeof(*tcm));

	if (!kind[0] || strlen(kind) >= QDISC_KIND_MAX)
		return -EINVAL;
	tcm->tcm_ifindex = (int)ifindex;
	tcm->tcm_parent = parent;
	tcm->tcm_handle = handle;
	mnl_attr_put_strz(&q.nlh, TCA_KIND, kind);
	return nl_call(nl, &q.nlh, NULL, NULL);
}

int qdisc_set_root(struct nl *nl, unsigned ifindex, const char *kind)
{
	return replace(nl, ifindex, TC_H_ROOT, QDISC_OURS, kind);
}

int qdisc_set_queue(struct nl *nl, unsigned ifindex, size_t queue, const char *kind)
{
	if (queue >= QDISC_QUEUES_MAX)
		return -EINVAL;
	return replace(nl, ifindex, QDISC_OURS | (uint32_t)(queue + 1), 0, kind);
}

int qdisc_delete_root(struct nl *nl, unsigned ifindex)
{
	struct nl_request q;
	struct tcmsg *tcm = nl_begin(&q, RTM_DELQDISC, 0, sizeof(*tcm));

	tcm->tcm_ifindex = (int)ifindex;
	tcm->tcm_parent = TC_H_ROOT;
	tcm->tcm_handle = QDISC_OURS;
	return nl_call(nl, &q.nlh, NULL, NULL);
}
