/* tests/unit/test_journal.c - the file of originals: what goes in comes out, and damage is refused. */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/tune/journal.h"
#include "tests/unit/fake_host.h"

#define FILE_PATH "var/lib/lapwing-tune/originals.json"

struct fixture {
	char *root;
	struct host host;
	struct host_nic nic;
	struct host_irq irqs[3];
	struct journal *journal;
	char error[256];
};

static void set_up(struct fixture *f, const void *data)
{
	static const struct host_irq irqs[] = {
		{ .number = 30, .queue = -1, .name = "virtio2-config" },
		{ .number = 31, .queue = 0, .name = "virtio2-input.0" },
		{ .number = 32, .queue = 0, .name = "virtio2-output.0" },
	};

	f->root = g_dir_make_tmp("journal.XXXXXX", NULL);
	g_strlcpy(f->host.boot_id, "first", sizeof(f->host.boot_id));
	g_strlcpy(f->nic.name, "eth0", sizeof(f->nic.name));
	g_strlcpy(f->nic.driver, "virtio_net", sizeof(f->nic.driver));
	g_strlcpy(f->nic.bus, "0000:00:04.0", sizeof(f->nic.bus));
	g_strlcpy(f->nic.address, "52:54:00:12:34:56", sizeof(f->nic.address));
	f->nic.irqs = g_array_new(FALSE, FALSE, sizeof(struct host_irq));
	g_array_append_vals(f->nic.irqs, irqs, G_N_ELEMENTS(irqs));
	f->host.nics = g_ptr_array_new();
	g_ptr_array_add(f->host.nics, &f->nic);
	g_assert_cmpint(journal_load(f->root, &f->journal, f->error), ==, 0);
	g_assert_cmpuint(f->journal->entries->len, ==, 0);
}

static void tear_down(struct fixture *f, const void *data)
{
	journal_free(f->journal);
	g_array_unref(f->nic.irqs);
	g_ptr_array_unref(f->host.nics);
	fake_host_remove(f->root);
}

static struct item rmem(const char *current, const char *wanted)
{
	return (struct item){
		.knob = KNOB_RMEM,
		.where = ITEM_FILE,
		.form = FORM_NUMBERS,
		.queue = -1,
		.sysctl = true,
		.object = (char *)"net.core.rmem_max",
		.path = (char *)"/proc/sys/net/core/rmem_max",
		.current = (char *)current,
		.wanted = (char *)wanted,
	};
}

static struct item rps(const char *current, const char *wanted)
{
	return (struct item){
		.knob = KNOB_RPS,
		.where = ITEM_FILE,
		.form = FORM_MASK,
		.queue = -1,
		.object = (char *)"eth0 rx-0",
		.device = (char *)"eth0",
		.path = (char *)"/sys/class/net/eth0/queues/rx-0/rps_cpus",
		.current = (char *)current,
		.wanted = (char *)wanted,
	};
}

static void save_and_load(struct fixture *f)
{
	g_assert_cmpint(journal_save(f->root, f->journal), ==, 0);
	journal_free(f->journal);
	g_assert_cmpint(journal_load(f->root, &f->journal, f->error), ==, 0);
}

static struct journal_entry *only_entry(struct fixture *f)
{
	g_assert_cmpuint(f->journal->entries->len, ==, 1);
	return f->journal->entries->pdata[0];
}

static void test_round(struct fixture *f, const void *data)
{
	g_autofree char *path = g_build_filename(f->root, FILE_PATH, NULL);
	g_autofree char *folder = g_path_get_dirname(path);
	struct item item = {
		.knob = KNOB_IRQ,
		.where = ITEM_FILE,
		.form = FORM_MASK,
		.disruptive = true,
		.queue = 0,
		.object = (char *)"irq 32 (virtio2-output.0)",
		.device = (char *)"eth0",
		.path = (char *)"/proc/irq/32/smp_affinity",
		.current = (char *)"f",
		.wanted = (char *)"4 \"\\",
	};
	struct journal_entry *e;
	struct stat st;

	journal_note(f->journal, &item, &f->host);
	save_and_load(f);
	e = only_entry(f);
	g_assert_cmpint(e->knob, ==, KNOB_IRQ);
	g_assert_cmpint(e->where, ==, ITEM_FILE);
	g_assert_cmpint(e->form, ==, FORM_MASK);
	g_assert_cmpint(e->queue, ==, 0);
	g_assert_cmpint(e->nth, ==, 1);
	g_assert_true(e->disruptive);
	g_assert_false(e->sysctl);
	g_assert_cmpstr(e->object, ==, item.object);
	g_assert_cmpstr(e->device, ==, "eth0");
	g_assert_cmpstr(e->path, ==, item.path);
	g_assert_cmpstr(e->identity.driver, ==, "virtio_net");
	g_assert_cmpstr(e->identity.bus, ==, "0000:00:04.0");
	g_assert_cmpstr(e->identity.address, ==, "52:54:00:12:34:56");
	g_assert_cmpstr(e->boot_id, ==, "first");
	g_assert_cmpstr(e->original, ==, "f");
	g_assert_cmpstr(e->written, ==, "4 \"\\");
	g_assert_null(e->stood);
	g_assert_cmpint(stat(path, &st), ==, 0);
	g_assert_cmpuint(st.st_mode & 07777, ==, 0644);
	g_assert_cmpint(stat(folder, &st), ==, 0);
	g_assert_cmpuint(st.st_mode & 07777, ==, 0711);
}

/* An indirection table is longer than what a string of the reader may be. */
static void test_long(struct fixture *f, const void *data)
{
	GString *table = g_string_new("0");
	struct item item = {
		.knob = KNOB_RSS,
		.where = ITEM_NIC,
		.attr = NIC_RSS,
		.queue = -1,
		.object = (char *)"eth0",
		.device = (char *)"eth0",
		.wanted = (char *)"0 1",
	};

	while (table->len < NIC_VALUE_MAX - 8)
		g_string_append_printf(table, " %zu", table->len % 64);
	item.current = table->str;
	journal_note(f->journal, &item, &f->host);
	save_and_load(f);
	g_assert_cmpstr(only_entry(f)->original, ==, table->str);
	g_assert_cmpint(only_entry(f)->attr, ==, NIC_RSS);
	g_assert_true(journal_find(f->journal, &item) == only_entry(f));
	item.attr = NIC_RINGS;
	g_assert_null(journal_find(f->journal, &item));
	g_string_free(table, TRUE);
}

/* The first original stays; what we wrote before is still known as ours. */
static void test_again(struct fixture *f, const void *data)
{
	struct item first = rmem("100", "200"), second = rmem("200", "300");
	struct journal_entry *e;

	journal_note(f->journal, &first, &f->host);
	journal_wrote(only_entry(f), "200");
	save_and_load(f);
	journal_note(f->journal, &second, &f->host);
	save_and_load(f);
	e = only_entry(f);
	g_assert_cmpstr(e->original, ==, "100");
	g_assert_cmpstr(e->written, ==, "300");
	g_assert_true(journal_is_ours(e, "200"));
	g_assert_true(journal_is_ours(e, " 300"));
	g_assert_false(journal_is_ours(e, "100"));
	g_assert_true(journal_wrote(e, "300"));
	g_assert_false(journal_is_ours(e, "200"));
}

static void test_take_back(struct fixture *f, const void *data)
{
	struct item first = rmem("100", "200"), second = rmem("200", "300");
	struct item other = rps("0", "f");

	journal_note(f->journal, &first, &f->host);
	g_assert_false(journal_wrote(only_entry(f), "200"));
	g_assert_false(journal_take_back(f->journal));
	journal_note(f->journal, &second, &f->host);
	journal_note(f->journal, &other, &f->host);
	g_assert_true(journal_take_back(f->journal));
	g_assert_cmpstr(only_entry(f)->written, ==, "200");
	g_assert_cmpstr(only_entry(f)->original, ==, "100");
	g_assert_null(only_entry(f)->stood);
}

/* What the kernel made of it is ours as well. */
static void test_rounded(struct fixture *f, const void *data)
{
	struct item item = rmem("100", "200");

	journal_note(f->journal, &item, &f->host);
	g_assert_true(journal_wrote(only_entry(f), "256"));
	save_and_load(f);
	g_assert_true(journal_is_ours(only_entry(f), "256"));
}

/* A sysctl may have been kept over the restart by us; anything else has this start's original now. */
static void test_restart(struct fixture *f, const void *data)
{
	struct item before[] = { rmem("100", "200"), rps("0", "f") };
	struct item after[] = { rmem("150", "200"), rps("1", "f") };

	for (int i = 0; i < 2; i++)
		journal_wrote(journal_note(f->journal, &before[i], &f->host), before[i].wanted);
	g_strlcpy(f->host.boot_id, "second", sizeof(f->host.boot_id));
	for (int i = 0; i < 2; i++)
		journal_note(f->journal, &after[i], &f->host);
	g_assert_cmpuint(f->journal->entries->len, ==, 2);
	g_assert_cmpstr(journal_find(f->journal, &after[0])->original, ==, "100");
	g_assert_cmpstr(journal_find(f->journal, &after[0])->boot_id, ==, "first");
	g_assert_cmpstr(journal_find(f->journal, &after[1])->original, ==, "1");
	g_assert_cmpstr(journal_find(f->journal, &after[1])->boot_id, ==, "second");
}

static void test_empty(struct fixture *f, const void *data)
{
	g_autofree char *path = g_build_filename(f->root, FILE_PATH, NULL);
	struct item item = rmem("100", "200");

	g_assert_cmpint(journal_save(f->root, f->journal), ==, 0);
	g_assert_cmpint(access(path, F_OK), ==, -1);
	journal_note(f->journal, &item, &f->host);
	g_assert_cmpint(journal_save(f->root, f->journal), ==, 0);
	g_assert_cmpint(access(path, F_OK), ==, 0);
	g_assert_true(journal_take_back(f->journal));
	g_assert_cmpint(journal_save(f->root, f->journal), ==, 0);
	g_assert_cmpint(access(path, F_OK), ==, -1);
}

#define DOCUMENT(entry) "{\"schema\":\"lapwing.tune.originals/1\",\"entries\":[\n" entry "]}"
#define ENTRY(text) \
	"{\"knob\":\"rmem\",\"where\":\"file\",\"form\":\"numbers\",\"object\":\"o\"," text \
	"\"boot_id\":\"b\",\"original\":\"1\",\"written\":\"2\"}"
#define GOOD ENTRY("\"path\":\"/proc/sys/net/core/rmem_max\",")

static void test_damaged(struct fixture *f, const void *data)
{
	static const struct {
		const char *text, *error;
	} cases[] = {
		{ "", "the text ends here" },
		{ "{}", "\"schema\" is missing" },
		{ "{\"schema\":\"lapwing.tune.originals/2\",\"entries\":[]}", "schema: " },
		{ DOCUMENT(GOOD ",\n{\"knob\":"), "line 3: entries[1].knob: " },
		{ DOCUMENT("{}"), "line 2: entries[0]: \"knob\" is missing" },
		{ DOCUMENT(ENTRY("")), "entries[0]: \"path\" is missing" },
		{ DOCUMENT(ENTRY("\"path\":\"/etc/passwd\",")), "not a file of a setting" },
		{ DOCUMENT(ENTRY("\"path\":\"/proc/x\",\"path\":\"/proc/x\",")), "is repeated" },
		{ DOCUMENT(ENTRY("\"path\":\"/proc/x\",\"device\":\"a/b\",")), "device: " },
		{ DOCUMENT(ENTRY("\"path\":\"/proc/x\",\"queue\":-1,")), "queue: must be 0 to" },
		{ DOCUMENT(ENTRY("\"path\":\"/proc/x\",\"other\":1,")), "is unknown" },
		{ DOCUMENT(GOOD) "x", "text behind the end" },
		{ DOCUMENT("{\"knob\":\"rmen\"}"), "entries[0].knob: an unknown knob" },
	};
	g_autofree char *path = g_build_filename(f->root, FILE_PATH, NULL);
	struct journal *journal = NULL;

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		fake_host_put(f->root, FILE_PATH, cases[i].text);
		g_assert_cmpint(journal_load(f->root, &journal, f->error), ==, -EBADMSG);
		g_assert_true(g_str_has_prefix(f->error, path));
		g_test_message("%s", f->error);
		g_assert_nonnull(strstr(f->error, cases[i].error));
		g_assert_null(journal);
	}
	fake_host_put(f->root, FILE_PATH, DOCUMENT(GOOD));
	journal_free(f->journal);
	g_assert_cmpint(journal_load(f->root, &f->journal, f->error), ==, 0);
	g_assert_cmpstr(only_entry(f)->written, ==, "2");
}

/* Whoever may write there decides what root writes. */
static void test_untrusted(struct fixture *f, const void *data)
{
	g_autofree char *path = g_build_filename(f->root, FILE_PATH, NULL);
	struct journal *journal = NULL;

	fake_host_put(f->root, FILE_PATH, DOCUMENT(GOOD));
	g_assert_cmpint(chmod(path, 0666), ==, 0);
	g_assert_cmpint(journal_load(f->root, &journal, f->error), ==, -EPERM);
	g_assert_nonnull(strstr(f->error, path));
}

static void test_lock(struct fixture *f, const void *data)
{
	g_autofree char *path = g_build_filename(f->root, "var/lib/lapwing-tune", NULL);
	int fd, other;

	g_assert_cmpint(journal_lock(f->root, &fd), ==, 0);
	other = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	g_assert_cmpint(other, >=, 0);
	g_assert_cmpint(flock(other, LOCK_EX | LOCK_NB), ==, -1);
	close(fd);
	g_assert_cmpint(flock(other, LOCK_EX | LOCK_NB), ==, 0);
	close(other);
}

int main(int argc, char **argv)
{
	umask(022);
	g_test_init(&argc, &argv, NULL);
#define ADD(name) \
	g_test_add("/journal/" #name, struct fixture, NULL, set_up, test_##name, tear_down)
	ADD(round);
	ADD(long);
	ADD(again);
	ADD(take_back);
	ADD(rounded);
	ADD(restart);
	ADD(empty);
	ADD(damaged);
	ADD(untrusted);
	ADD(lock);
	return g_test_run();
}
