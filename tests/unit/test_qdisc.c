/* tests/unit/test_qdisc.c - requests about queueing disciplines, and how answers are read, without a kernel. */
#include "netlink/qdisc.h"

#include <linux/rtnetlink.h>

#include "agent/tune/nic_text.h"
#include "tests/unit/fake_nl.h"

enum { IFINDEX = 7, ROOT = -1, INGRESS = -15 };

static size_t put_head(struct bytes *out, uint16_t type, uint16_t flags, int ifindex,
	uint32_t handle, uint32_t parent)
{
	const struct tcmsg tcm = {
		.tcm_ifindex = ifindex, .tcm_handle = handle, .tcm_parent = parent
	};
	size_t message = bytes_message(out, type, flags, 0);

	bytes_put(out, &tcm, sizeof(tcm));
	return message;
}

static void put_qdisc(
	struct bytes *out, int ifindex, uint32_t handle, uint32_t parent, const char *kind)
{
	size_t message = put_head(out, RTM_NEWQDISC, NLM_F_MULTI, ifindex, handle, parent);

	bytes_attr_text(out, TCA_KIND, kind);
	bytes_attr_u32(out, TCA_OPTIONS, 5);
	bytes_end(out, message);
}

static void assert_sent(struct bytes *want, size_t message)
{
	bytes_end(want, message);
	g_assert_cmpmem(fake.sent, fake.len, want->b, want->len);
	fake_reset();
	want->len = 0;
}

static void test_sends(void)
{
	const uint16_t replace = NLM_F_CREATE | NLM_F_REPLACE;
	struct bytes want = { 0 };
	struct qdisc_root root;
	size_t message;

	fake_reset();
	g_assert_cmpint(qdisc_set_root(NULL, IFINDEX, "mq"), ==, 0);
	message = put_head(&want, RTM_NEWQDISC, replace, IFINDEX, 0x1a700000, UINT32_MAX);
	bytes_attr_text(&want, TCA_KIND, "mq");
	assert_sent(&want, message);
	g_assert_cmpint(qdisc_set_queue(NULL, IFINDEX, 63, "fq"), ==, 0);
	message = put_head(&want, RTM_NEWQDISC, replace, IFINDEX, 0, 0x1a700040);
	bytes_attr_text(&want, TCA_KIND, "fq");
	assert_sent(&want, message);
	g_assert_cmpint(qdisc_delete_root(NULL, IFINDEX), ==, 0);
	assert_sent(&want, put_head(&want, RTM_DELQDISC, 0, IFINDEX, 0x1a700000, UINT32_MAX));
	g_assert_cmpint(qdisc_read(NULL, IFINDEX, &root), ==, -EOPNOTSUPP);
	assert_sent(&want, put_head(&want, RTM_GETQDISC, 0, IFINDEX, 0, 0));
	g_assert_cmpint(qdisc_set_root(NULL, IFINDEX, ""), ==, -EINVAL);
	g_assert_cmpint(qdisc_set_root(NULL, IFINDEX, "sixteen_letters_"), ==, -EINVAL);
	g_assert_cmpint(qdisc_set_queue(NULL, IFINDEX, QDISC_QUEUES_MAX, "fq"), ==, -EINVAL);
	g_assert_cmpuint(fake.n, ==, 0);
}

/* -- answers -------------------------------------------------------------------------------- */

/* As our text; NULL: it could not be read, with this error. */
static char *read_text(const struct bytes *reply, int error)
{
	struct qdisc_root root = { 0 };
	char text[256];

	fake_reset();
	fake.reply = reply;
	g_assert_cmpint(qdisc_read(NULL, IFINDEX, &root), ==, error);
	if (error)
		return NULL;
	g_assert_cmpint(nic_format_qdisc(&root, text, sizeof(text)), ==, 0);
	qdisc_root_clear(&root);
	return g_strdup(text);
}

static void assert_text(const struct bytes *reply, const char *want)
{
	g_autofree char *text = read_text(reply, 0);

	g_assert_cmpstr(text, ==, want);
}

static void test_single(void)
{
	static const struct {
		uint32_t handle;
		const char *want;
	} cases[] = { { 0, "fq" }, { 0x1a700000, "fq" }, { 0x10000, "!fq" },
		{ 0x80010000, "!fq" } };

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct bytes reply = { 0 };

		put_qdisc(&reply, 6, 0x10000, (uint32_t)ROOT, "htb");
		put_qdisc(&reply, IFINDEX, 0xffff0000, (uint32_t)INGRESS, "clsact");
		put_qdisc(&reply, IFINDEX, cases[i].handle, (uint32_t)ROOT, "fq");
		put_qdisc(&reply, 8, 0, (uint32_t)ROOT, "noqueue");
		assert_text(&reply, cases[i].want);
	}
}

/* The kernel lists queues from the last to the first. */
static void test_queues(void)
{
	static const uint32_t handles[] = { 0, 0x1a700000, 0x10000 };
	static const char *const wanted[] = { "mq fq fq_codel pfifo_fast",
		"mq fq fq_codel pfifo_fast", "!mq fq fq_codel pfifo_fast" };

	for (size_t i = 0; i < G_N_ELEMENTS(handles); i++) {
		struct bytes reply = { 0 };

		put_qdisc(&reply, IFINDEX, handles[i], (uint32_t)ROOT, "mq");
		put_qdisc(&reply, IFINDEX, 0, handles[i] + 3, "pfifo_fast");
		put_qdisc(&reply, IFINDEX, 0x80020000, handles[i] + 1, "fq");
		put_qdisc(&reply, 6, 0, handles[i] + 4, "sfq");
		put_qdisc(&reply, IFINDEX, 0x80030000, handles[i] + 2, "fq_codel");
		put_qdisc(&reply, IFINDEX, 0x80040000, 0x80030001, "red");
		put_qdisc(&reply, IFINDEX, 0xffff0000, (uint32_t)INGRESS, "ingress");
		assert_text(&reply, wanted[i]);
	}
}

/* As many words as tell, so that it stays true for another number of queues. */
static void test_alike(void)
{
	struct bytes reply = { 0 };

	put_qdisc(&reply, IFINDEX, 0, (uint32_t)ROOT, "mq");
	assert_text(&reply, "mq");
	for (uint32_t i = 1; i <= 3; i++) {
		put_qdisc(&reply, IFINDEX, 0, i, "fq");
		assert_text(&reply, "mq fq");
	}
	put_qdisc(&reply, IFINDEX, 0, 4, "sfq");
	assert_text(&reply, "mq fq fq fq sfq");
}

static void test_no_root(void)
{
	struct bytes reply = { 0 };

	put_qdisc(&reply, IFINDEX, 0xffff0000, (uint32_t)INGRESS, "clsact");
	put_qdisc(&reply, 6, 0, (uint32_t)ROOT, "fq");
	g_assert_null(read_text(&reply, -EOPNOTSUPP));
}

static void test_hostile(void)
{
	struct bytes reply = { 0 };
	size_t message = put_head(&reply, RTM_NEWQDISC, 0, IFINDEX, 0, (uint32_t)ROOT), whole;

	bytes_end(&reply, message);
	g_assert_null(read_text(&reply, -EPROTO)); /* no kind */
	reply.len = 0;
	message = put_head(&reply, RTM_NEWLINK, 0, IFINDEX, 0, (uint32_t)ROOT);
	bytes_attr_text(&reply, TCA_KIND, "fq");
	bytes_end(&reply, message);
	g_assert_null(read_text(&reply, -EPROTO)); /* another message */
	reply.len = 0;
	put_qdisc(&reply, IFINDEX, 0, (uint32_t)ROOT, "a_kind_far_longer_than_any_that_is");
	assert_text(&reply, "a_kind_far_long");
	reply.len = 0;
	put_qdisc(&reply, IFINDEX, 0, (uint32_t)ROOT, "fq");
	for (whole = reply.len, reply.len = NLMSG_HDRLEN; reply.len < whole; reply.len++) {
		uint32_t len = (uint32_t)reply.len;
		struct qdisc_root root;
		int r;

		memcpy(reply.b, &len, sizeof(len));
		fake_reset();
		fake.reply = &reply;
		r = qdisc_read(NULL, IFINDEX, &root);
		g_assert_true(r == -EPROTO || (r == 0 && strcmp(root.qdisc.kind, "fq") == 0));
	}
}

static void test_many(void)
{
	enum { QUEUES = 256 };
	struct qdisc_root root = { 0 };
	struct bytes reply = { 0 };

	put_qdisc(&reply, IFINDEX, 0, (uint32_t)ROOT, "mq");
	for (uint32_t i = QUEUES; i > 0; i--)
		put_qdisc(&reply, IFINDEX, 0, i, i == 1 ? "sfq" : "fq");
	fake_reset();
	fake.reply = &reply;
	g_assert_cmpint(qdisc_read(NULL, IFINDEX, &root), ==, 0);
	g_assert_cmpuint(root.n_queues, ==, QUEUES);
	g_assert_cmpstr(root.queues[0].kind, ==, "sfq");
	g_assert_cmpstr(root.queues[QUEUES - 1].kind, ==, "fq");
	qdisc_root_clear(&root);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/qdisc/sends", test_sends);
	g_test_add_func("/qdisc/single", test_single);
	g_test_add_func("/qdisc/queues", test_queues);
	g_test_add_func("/qdisc/alike", test_alike);
	g_test_add_func("/qdisc/no-root", test_no_root);
	g_test_add_func("/qdisc/hostile", test_hostile);
	g_test_add_func("/qdisc/many", test_many);
	return g_test_run();
}
