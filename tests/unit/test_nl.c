/* tests/unit/test_nl.c - answers of the kernel: who they are for, what they say, when they end. */
#include <errno.h>
#include <linux/genetlink.h>

#include "netlink/nl.h"
#include "netlink/nl_reply.h"
#include "tests/unit/bytes.h"

enum { FIRST = 100, ANY_TYPE = 0x20 };

static void put_ack(struct bytes *out, uint32_t seq, int error, const char *text)
{
	uint16_t flags = NLM_F_CAPPED | (text ? NLM_F_ACK_TLVS : 0);
	size_t message = bytes_message(out, NLMSG_ERROR, flags, seq);

	bytes_u32(out, (uint32_t)error);
	bytes_end(out, bytes_message(out, ANY_TYPE, NLM_F_REQUEST, seq));
	if (text)
		bytes_attr_text(out, NLMSGERR_ATTR_MSG, text);
	bytes_end(out, message);
}

static void put_data(struct bytes *out, uint32_t seq, uint16_t flags)
{
	size_t message = bytes_message(out, ANY_TYPE, flags, seq);

	bytes_u32(out, 0);
	bytes_end(out, message);
}

static void put_done(struct bytes *out, uint32_t seq, uint16_t flags, int error)
{
	size_t message = bytes_message(out, NLMSG_DONE, flags, seq);

	bytes_u32(out, (uint32_t)error);
	bytes_end(out, message);
}

static int count(const struct nlmsghdr *nlh, void *user)
{
	g_assert_cmpuint(nlh->nlmsg_type, ==, ANY_TYPE);
	++*(int *)user;
	return 0;
}

static int stop_at_two(const struct nlmsghdr *nlh, void *user)
{
	return ++*(int *)user == 2 ? 7 : 0;
}

static int take(struct nl_reply *reply, const struct bytes *in)
{
	return nl_reply_take(reply, in->b, in->len);
}

/* -- one request ---------------------------------------------------------------------------- */

static void test_call(void)
{
	int n = 0;
	struct nl_reply reply = { .first_seq = FIRST, .n = 1, .fn = count, .user = &n };
	struct bytes in = { 0 };

	put_ack(&in, FIRST - 1, -EPERM, "of an older request");
	put_data(&in, FIRST - 1, 0);
	put_data(&in, FIRST, 0);
	g_assert_cmpint(take(&reply, &in), ==, 0);
	g_assert_cmpint(n, ==, 1);
	in.len = 0;
	put_ack(&in, FIRST, 0, NULL);
	g_assert_cmpint(take(&reply, &in), ==, 1);
	g_assert_cmpint(reply.result, ==, 0);
	g_assert_cmpint(n, ==, 1);
}

static void test_call_fails(void)
{
	struct nl_reply reply = { .first_seq = FIRST, .n = 1 };
	struct bytes in = { 0 };

	put_ack(&in, FIRST, -EINVAL, "Unknown device type");
	g_assert_cmpint(take(&reply, &in), ==, 1);
	g_assert_cmpint(reply.result, ==, -EINVAL);
	g_assert_cmpstr(reply.text, ==, "Unknown device type");
}

/* Without NETLINK_CAP_ACK the words come behind a copy of the request. */
static void test_uncapped(void)
{
	struct nl_reply reply = { .first_seq = FIRST, .n = 1 };
	struct bytes in = { 0 };
	size_t message = bytes_message(&in, NLMSG_ERROR, NLM_F_ACK_TLVS, FIRST), request;

	bytes_u32(&in, (uint32_t)-EBUSY);
	request = bytes_message(&in, ANY_TYPE, NLM_F_REQUEST, FIRST);
	bytes_attr_text(&in, NLMSGERR_ATTR_MSG, "what we sent");
	bytes_end(&in, request);
	bytes_attr_u32(&in, NLMSGERR_ATTR_OFFS, 5);
	bytes_attr_text(&in, NLMSGERR_ATTR_MSG, "what it says");
	bytes_end(&in, message);
	g_assert_cmpint(take(&reply, &in), ==, 1);
	g_assert_cmpint(reply.result, ==, -EBUSY);
	g_assert_cmpstr(reply.text, ==, "what it says");
}

static void test_long_text(void)
{
	struct nl_reply reply = { .first_seq = FIRST, .n = 1 };
	g_autofree char *text = g_strnfill(1000, 'x');
	struct bytes in = { 0 };

	put_ack(&in, FIRST, -EINVAL, text);
	g_assert_cmpint(take(&reply, &in), ==, 1);
	g_assert_cmpuint(strlen(reply.text), ==, NL_TEXT_MAX - 1);
}

/* -- dumps ---------------------------------------------------------------------------------- */

static void test_dump(void)
{
	static const struct {
		uint16_t data_flags, done_flags;
		int error, result;
		bool interrupted;
	} cases[] = {
		{ NLM_F_MULTI, NLM_F_MULTI, 0, 0, false },
		{ NLM_F_MULTI, NLM_F_MULTI, -ENODEV, -ENODEV, false },
		{ NLM_F_MULTI | NLM_F_DUMP_INTR, NLM_F_MULTI, 0, 0, true },
		{ NLM_F_MULTI, NLM_F_MULTI | NLM_F_DUMP_INTR, 0, 0, true },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		int n = 0;
		struct nl_reply reply = {
			.first_seq = FIRST, .n = 1, .dump = true, .fn = count, .user = &n
		};
		struct bytes in = { 0 };

		put_data(&in, FIRST, cases[i].data_flags);
		put_data(&in, FIRST, NLM_F_MULTI);
		g_assert_cmpint(take(&reply, &in), ==, 0);
		in.len = 0;
		put_done(&in, FIRST - 1, 0, 0);
		put_done(&in, FIRST, cases[i].done_flags, cases[i].error);
		g_assert_cmpint(take(&reply, &in), ==, 1);
		g_assert_cmpint(n, ==, 2);
		g_assert_cmpint(reply.result, ==, cases[i].result);
		g_assert_true(reply.interrupted == cases[i].interrupted);
	}
}

static void test_dump_refused(void)
{
	struct nl_reply reply = { .first_seq = FIRST, .n = 1, .dump = true };
	struct bytes in = { 0 };

	put_ack(&in, FIRST, -EBUSY, NULL);
	g_assert_cmpint(take(&reply, &in), ==, 1);
	g_assert_cmpint(reply.result, ==, -EBUSY);
}

/* What follows is taken off the socket, but not told. */
static void test_dump_stopped(void)
{
	int n = 0;
	struct nl_reply reply = {
		.first_seq = FIRST, .n = 1, .dump = true, .fn = stop_at_two, .user = &n
	};
	struct bytes in = { 0 };

	for (int i = 0; i < 5; i++)
		put_data(&in, FIRST, NLM_F_MULTI);
	g_assert_cmpint(take(&reply, &in), ==, 0);
	in.len = 0;
	put_done(&in, FIRST, NLM_F_MULTI, 0);
	g_assert_cmpint(take(&reply, &in), ==, 1);
	g_assert_cmpint(n, ==, 2);
	g_assert_cmpint(reply.result, ==, 7);
}

/* -- batches -------------------------------------------------------------------------------- */

static void test_batch(void)
{
	int results[5] = { 0 };
	struct nl_reply reply = { .first_seq = FIRST, .n = 5, .last = 4, .results = results };
	struct bytes in = { 0 };

	put_ack(&in, FIRST + 1, -ENODEV, "the first failure");
	put_ack(&in, FIRST + 9, -EPERM, NULL);
	g_assert_cmpint(take(&reply, &in), ==, 0);
	in.len = 0;
	put_ack(&in, FIRST + 3, -EINVAL, "the second");
	put_ack(&in, FIRST + 4, 0, NULL);
	g_assert_cmpint(take(&reply, &in), ==, 1);
	g_assert_cmpint(results[0], ==, 0);
	g_assert_cmpint(results[1], ==, -ENODEV);
	g_assert_cmpint(results[2], ==, 0);
	g_assert_cmpint(results[3], ==, -EINVAL);
	g_assert_cmpint(results[4], ==, 0);
	g_assert_cmpint(reply.result, ==, -ENODEV);
	g_assert_cmpstr(reply.text, ==, "the first failure");
}

static void test_batch_wraps(void)
{
	int results[3] = { 0 };
	struct nl_reply reply = { .first_seq = UINT32_MAX, .n = 3, .last = 2, .results = results };
	struct bytes in = { 0 };

	put_ack(&in, UINT32_MAX, -EPERM, NULL);
	put_ack(&in, 0, -ENODEV, NULL);
	put_ack(&in, 1, -EINVAL, NULL);
	g_assert_cmpint(take(&reply, &in), ==, 1);
	g_assert_cmpint(results[0], ==, -EPERM);
	g_assert_cmpint(results[1], ==, -ENODEV);
	g_assert_cmpint(results[2], ==, -EINVAL);
}

static void test_transaction(void)
{
	static const struct {
		size_t failing;
		int error, done;
	} cases[] = { { 0, -EPERM, 1 }, { 2, -ENOENT, 0 }, { 3, -EINVAL, 1 }, { 3, 0, 1 } };

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct nl_reply reply = {
			.first_seq = FIRST, .n = 5, .last = 3, .transaction = true
		};
		struct bytes in = { 0 };

		put_ack(&in, FIRST + (uint32_t)cases[i].failing, cases[i].error, NULL);
		g_assert_cmpint(take(&reply, &in), ==, cases[i].done);
		g_assert_cmpint(reply.result, ==, cases[i].error);
		if (cases[i].error)
			g_assert_cmpuint(reply.failed, ==, cases[i].failing);
	}
}

/* -- junk ----------------------------------------------------------------------------------- */

static void test_truncated(void)
{
	struct bytes in = { 0 };

	put_data(&in, FIRST, 0);
	put_ack(&in, FIRST, -EINVAL, "words");
	for (size_t len = 0; len < in.len; len++) {
		int n = 0, r;
		struct nl_reply reply = { .first_seq = FIRST, .n = 1, .fn = count, .user = &n };
		g_autofree void *copy = g_memdup2(in.b, len);

		r = nl_reply_take(&reply, copy, len);
		g_assert_cmpint(r, ==, len == 0 || len == 20 ? 0 : -EPROTO);
	}
}

static void test_wrong_length(void)
{
	static const uint32_t lengths[] = { 0, 15, 17, 21, 10000, UINT32_MAX };

	for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
		struct nl_reply reply = { .first_seq = FIRST, .n = 1 };
		struct bytes in = { 0 };

		bytes_message(&in, NLMSG_ERROR, 0, FIRST);
		bytes_u32(&in, 0);
		memcpy(in.b, &lengths[i], 4);
		g_assert_cmpint(take(&reply, &in), ==, -EPROTO);
	}
}

/* -- the kernel at hand --------------------------------------------------------------------- */

static void test_family(void)
{
	struct nl *nl;
	uint16_t id = 0;

	g_assert_cmpint(nl_open(NETLINK_GENERIC, &nl), ==, 0);
	g_assert_cmpint(nl_family(nl, "nlctrl", &id), ==, 0);
	g_assert_cmpuint(id, ==, GENL_ID_CTRL);
	g_assert_cmpint(nl_family(nl, "lapwing-none", &id), ==, -ENOENT);
	g_assert_cmpuint(id, ==, GENL_ID_CTRL);
	nl_close(nl);
}

/* As many failures as can be: all their answers fit into the socket's queue. */
static void test_live_batch(void)
{
	enum { N = NL_BATCH_MAX };
	struct {
		struct nlmsghdr nlh;
		struct genlmsghdr genl;
	} requests[N] = { 0 };
	int results[N];
	struct nl *nl;

	for (size_t i = 0; i < N; i++) {
		requests[i].nlh.nlmsg_len = sizeof(requests[i]);
		requests[i].nlh.nlmsg_type = GENL_ID_CTRL;
		requests[i].genl.cmd = i == 1 ? 200 : CTRL_CMD_GETFAMILY;
	}
	g_assert_cmpint(nl_open(NETLINK_GENERIC, &nl), ==, 0);
	for (int round = 0; round < 2; round++) {
		g_assert_cmpint(nl_batch(nl, requests, sizeof(requests), N, results), ==, 0);
		for (size_t i = 0; i < N; i++)
			g_assert_cmpint(results[i], ==, i == 1 ? -EOPNOTSUPP : -EINVAL);
	}
	nl_close(nl);
}

/* A walk that was ended early does not stand in the way of the next. */
static void test_live_dump(void)
{
	struct nl_request q;
	struct genlmsghdr *genl;
	struct nl *nl;
	int n;

	g_assert_cmpint(nl_open(NETLINK_GENERIC, &nl), ==, 0);
	for (int round = 0; round < 3; round++) {
		n = 0;
		genl = nl_begin(&q, GENL_ID_CTRL, 0, sizeof(*genl));
		genl->cmd = CTRL_CMD_GETFAMILY;
		g_assert_cmpint(nl_dump(nl, &q.nlh, stop_at_two, &n), ==, n < 2 ? 0 : 7);
		g_assert_cmpint(n, <=, 2);
	}
	nl_wipe(nl);
	nl_close(nl);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/nl/call", test_call);
	g_test_add_func("/nl/call/fails", test_call_fails);
	g_test_add_func("/nl/call/uncapped", test_uncapped);
	g_test_add_func("/nl/call/long-text", test_long_text);
	g_test_add_func("/nl/dump", test_dump);
	g_test_add_func("/nl/dump/refused", test_dump_refused);
	g_test_add_func("/nl/dump/stopped", test_dump_stopped);
	g_test_add_func("/nl/batch", test_batch);
	g_test_add_func("/nl/batch/wraps", test_batch_wraps);
	g_test_add_func("/nl/transaction", test_transaction);
	g_test_add_func("/nl/junk/truncated", test_truncated);
	g_test_add_func("/nl/junk/wrong-length", test_wrong_length);
	g_test_add_func("/nl/live/family", test_family);
	g_test_add_func("/nl/live/batch", test_live_batch);
	g_test_add_func("/nl/live/dump", test_live_dump);
	return g_test_run();
}
