/* tests/unit/fake_nl.h - stands in for netlink/nl.c: keeps what was sent, answers as told. */
#pragma once

#include <errno.h>

#include "netlink/nl.h"
#include "tests/unit/bytes.h"

enum { FAKE_SENT_MAX = 1 << 20 };

static struct {
	_Alignas(8) uint8_t sent[FAKE_SENT_MAX]; /* all messages, one behind the other */
	size_t len, n, n_sends;
	const struct bytes *reply; /* goes to the callback of a call or dump */
	int result; /* of a call or dump */
	int (*outcome)(size_t i); /* of request i of a batch, of send i; NULL: all go well */
} fake;

static void fake_reset(void)
{
	memset(&fake, 0, sizeof(fake));
}

static void fake_keep(const void *requests, size_t len, size_t n)
{
	g_assert_cmpuint(fake.len + len, <=, FAKE_SENT_MAX);
	memcpy(fake.sent + fake.len, requests, len);
	fake.len += len;
	fake.n += n;
	fake.n_sends++;
}

static int fake_answer(const struct nlmsghdr *request, nl_msg_fn fn, void *user)
{
	int r = 0;

	fake_keep(request, request->nlmsg_len, 1);
	for (size_t at = 0; fn && fake.reply && at < fake.reply->len && !r;) {
		const struct nlmsghdr *nlh = (const void *)(fake.reply->b + at);

		r = fn(nlh, user);
		at += NLMSG_ALIGN(nlh->nlmsg_len);
	}
	return r ? r : fake.result;
}

int nl_open(int protocol, struct nl **ret)
{
	*ret = NULL;
	return 0;
}

void nl_close(struct nl *nl)
{
}

void *nl_begin(struct nl_request *q, uint16_t type, uint16_t flags, size_t header_len)
{
	memset(q, 0, sizeof(*q));
	q->nlh.nlmsg_len = (uint32_t)(NLMSG_HDRLEN + NLMSG_ALIGN(header_len));
	q->nlh.nlmsg_type = type;
	q->nlh.nlmsg_flags = flags;
	return NLMSG_DATA(&q->nlh);
}

int nl_call(struct nl *nl, struct nlmsghdr *request, nl_msg_fn fn, void *user)
{
	return fake_answer(request, fn, user);
}

int nl_dump(struct nl *nl, struct nlmsghdr *request, nl_msg_fn fn, void *user)
{
	return fake_answer(request, fn, user);
}

int nl_batch(struct nl *nl, void *requests, size_t len, size_t n, int *results)
{
	g_assert_cmpuint(n, <=, NL_BATCH_MAX);
	for (size_t i = 0; i < n; i++)
		results[i] = fake.outcome ? fake.outcome(fake.n + i) : 0;
	fake_keep(requests, len, n);
	return fake.result;
}

int nl_transaction(struct nl *nl, void *requests, size_t len, size_t n, size_t *ret_failed)
{
	int r = fake.outcome ? fake.outcome(fake.n_sends) : 0;

	fake_keep(requests, len, n);
	return r;
}

void nl_wipe(struct nl *nl)
{
}

const char *nl_error_text(const struct nl *nl)
{
	return "";
}

int nl_family(struct nl *nl, const char *name, uint16_t *ret)
{
	*ret = 0x1234;
	return 0;
}
