/* netlink/nl_reply.c - walks over answers: sorts out acknowledgements, errors and ends of dumps. */
#include "netlink/nl_reply.h"

#include <errno.h>

#include "netlink/attr.h"

/* The words of an extended acknowledgement, which begin `offset` bytes into the message. */
static void take_text(struct nl_reply *reply, const struct nlmsghdr *nlh, size_t offset)
{
	struct attr_walk w = attr_walk_message(nlh, offset);
	const struct nlattr *a;

	if (!(nlh->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	while ((a = attr_next(&w)))
		if (attr_type(a) == NLMSGERR_ATTR_MSG)
			attr_text(a, reply->text, sizeof(reply->text));
}

static bool take_failure(struct nl_reply *reply, size_t index, int error)
{
	if (!error || reply->result)
		return false;
	reply->result = error;
	reply->failed = index;
	return true;
}

static int take_error(struct nl_reply *reply, const struct nlmsghdr *nlh, size_t index)
{
	const struct nlmsgerr *e = NLMSG_DATA(nlh);
	size_t offset = sizeof(*e);

	if (nlh->nlmsg_len < NLMSG_LENGTH(sizeof(*e)) || e->error > 0)
		return -EPROTO;
	if (!(nlh->nlmsg_flags & NLM_F_CAPPED) && e->msg.nlmsg_len > sizeof(e->msg))
		offset += e->msg.nlmsg_len - sizeof(e->msg);
	if (take_failure(reply, index, e->error))
		take_text(reply, nlh, offset);
	if (reply->results)
		reply->results[index] = e->error;
	if (reply->dump)
		return e->error != 0;
	return index == reply->last || (reply->transaction && index == 0 && e->error);
}

static int take_done(struct nl_reply *reply, const struct nlmsghdr *nlh, size_t index)
{
	int error = 0;

	if (!reply->dump)
		return 0;
	if (nlh->nlmsg_len >= NLMSG_LENGTH(sizeof(error)))
		memcpy(&error, NLMSG_DATA(nlh), sizeof(error));
	if (error < 0 && take_failure(reply, index, error))
		take_text(reply, nlh, sizeof(error));
	return 1;
}

static int take_message(struct nl_reply *reply, const struct nlmsghdr *nlh)
{
	size_t index = (uint32_t)(nlh->nlmsg_seq - reply->first_seq);

	if (index >= reply->n)
		return 0;
	if (nlh->nlmsg_flags & NLM_F_DUMP_INTR)
		reply->interrupted = true;
	if (nlh->nlmsg_type == NLMSG_ERROR)
		return take_error(reply, nlh, index);
	if (nlh->nlmsg_type == NLMSG_DONE)
		return take_done(reply, nlh, index);
	/* After a failure the rest is only taken off the socket: a dump that is not read to its end
	 * makes the next one fail with EBUSY. */
	if (nlh->nlmsg_type >= NLMSG_MIN_TYPE && reply->fn && !reply->result)
		reply->result = reply->fn(nlh, reply->user);
	return 0;
}

int nl_reply_take(struct nl_reply *reply, const void *buf, size_t len)
{
	const uint8_t *at = buf;
	size_t step;
	int r;

	for (; len >= NLMSG_HDRLEN; at += step, len -= step) {
		const struct nlmsghdr *nlh = (const struct nlmsghdr *)at;

		if (nlh->nlmsg_len < NLMSG_HDRLEN || nlh->nlmsg_len > len)
			return -EPROTO;
		r = take_message(reply, nlh);
		if (r)
			return r;
		step = NLMSG_ALIGN(nlh->nlmsg_len);
		if (step > len)
			step = len;
	}
	return len ? -EPROTO : 0;
}
