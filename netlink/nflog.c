/* netlink/nflog.c - a socket of nfnetlink_log: takes a group, receives what is logged to it. */
#include "netlink/nflog.h"

#include <arpa/inet.h>
#include <errno.h>
#include <glib.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>

#include "netlink/nflog_parse.h"
#include "netlink/nfnl.h"

enum { COPIED_BYTES = 64 }; /* as the rules have it */

struct nflog {
	struct nfnl socket;
};

/* Nobody else's rules are concerned: what is logged by default is left to whom it goes now. */
static int take_group(struct nflog *log, uint16_t group)
{
	const struct nfulnl_msg_config_cmd bind = { NFULNL_CFG_CMD_BIND };
	const struct nfulnl_msg_config_mode mode = { htonl(COPIED_BYTES), NFULNL_COPY_PACKET, 0 };
	struct nlmsghdr *nlh = nfnl_begin(
		log->socket.buf, NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_CONFIG, NLM_F_ACK, group);
	int r;

	mnl_attr_put(nlh, NFULA_CFG_CMD, sizeof(bind), &bind);
	mnl_attr_put(nlh, NFULA_CFG_MODE, sizeof(mode), &mode);
	mnl_attr_put_u32(nlh, NFULA_CFG_QTHRESH, htonl(1));
	r = nfnl_send(&log->socket, nlh);
	/* The kernel's words for a subsystem that it lacks, and for a group of another socket. */
	return r == -EINVAL ? -EOPNOTSUPP : r == -EPERM ? -EBUSY : r;
}

int nflog_open(uint16_t group, struct nflog **ret)
{
	struct nflog *log = g_new0(struct nflog, 1);
	int r = nfnl_open(&log->socket);

	if (r == 0)
		r = take_group(log, group);
	if (r < 0) {
		nflog_close(log);
		return r;
	}
	*ret = log;
	return 0;
}

void nflog_close(struct nflog *log)
{
	if (!log)
		return;
	nfnl_close(&log->socket);
	g_free(log);
}

/* -- what is logged to it ------------------------------------------------------------------- */

int nflog_fd(const struct nflog *log)
{
	return mnl_socket_get_fd(log->socket.socket);
}

struct reading {
	nflog_fn fn;
	void *user;
};

static void take_message(const struct nlmsghdr *nlh, void *user)
{
	const struct reading *reading = user;
	struct nflog_packet packet;

	if (nflog_parse(nlh, &packet) == 0)
		reading->fn(&packet, reading->user);
}

int nflog_read(struct nflog *log, nflog_fn fn, void *user)
{
	struct reading reading = { fn, user };

	return nfnl_read(&log->socket, take_message, &reading);
}
