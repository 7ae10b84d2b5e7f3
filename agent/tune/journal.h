/* agent/tune/journal.h - what a host's settings were before we touched them. One file, written as a whole. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "agent/tune/plan.h"

#define JOURNAL_PATH "/var/lib/lapwing-tune/originals.json"

/* Anybody may read it, as what it tells of, and plans alike with it; but not open its folder, to lock it. */
enum { JOURNAL_MODE = 0644, JOURNAL_FOLDER_MODE = 0711 };

enum { JOURNAL_ENTRIES_MAX = 65536, JOURNAL_BYTES_MAX = 64 * 1024 * 1024 };

/* What a device is, whatever it is called now. */
struct identity {
	char driver[32], bus[64], address[32];
};

struct journal_entry {
	enum knob knob;
	enum item_where where;
	enum item_form form;
	enum nic_attr attr;
	int queue;
	int nth; /* which of the interrupts of its queue */
	bool sysctl, disruptive;
	char *object, *device, *path;
	struct identity identity; /* of the device */
	char boot_id[40]; /* when `original` was read */
	char *original, *written;
	char *stood; /* may be there instead of `written` and is ours too: what we wrote before that, or what
			the kernel made of it. NULL: none */
	char *refused; /* what the kernel did not take, as it manages the setting itself. Where that was all,
			`written` is the original. NULL: none */
	/* Of this run, not in the file. */
	bool gone; /* its device, queue or interrupt is not there now */
	bool open; /* noted and not written yet */
	char *before; /* what was there when it was noted */
};

struct journal {
	GPtrArray *entries; /* struct journal_entry */
};

/* An empty one when there is no file. -EBADMSG: it is damaged; `error` says where. */
int journal_load(const char *root, struct journal **ret, char error[static 256]);
/* Whole or not at all; an empty journal removes the file. 0 or -errno. */
int journal_save(const char *root, const struct journal *journal);
struct journal *journal_new(void);
void journal_free(struct journal *journal);
/* One program at a time: from before the journal is loaded until it is saved for the last time. Waits.
 * Makes the folder; *ret_fd is closed to let go. */
int journal_lock(const char *root, int *ret_fd);

/* Of the same thing: path, or device and attribute. */
struct journal_entry *journal_find(const struct journal *journal, const struct item *item);
/* Notes the original of this item, unless it is known, and what will be written. */
struct journal_entry *journal_note(
	struct journal *journal, const struct item *item, const struct host *host);
/* The kernel took what was noted, and has `actual` now. Has the journal to be saved for that? */
bool journal_wrote(struct journal_entry *entry, const char *actual);
/* Takes back every note that was not written. Were there any? */
bool journal_take_back(struct journal *journal);
/* It refused what was noted. Has the journal to be saved for that? */
bool journal_was_refused(struct journal_entry *entry);
/* Was nothing of it ever written? */
bool journal_is_untouched(const struct journal_entry *entry);
/* An MTU that was measured, and written by us, is not raised by a plan that knows only the devices; and what
 * the kernel has refused since this start is not tried again. */
void journal_heed(const struct journal *journal, const struct host *host, struct plan *plan);
/* The entry is again as it was in an earlier journal, or not there; it is not valid any more. */
void journal_undo(struct journal *journal, struct journal_entry *entry, struct journal *earlier);
/* Has it something of this device? */
bool journal_has_device(const struct journal *journal, const char *device);
/* The setting itself, to be read and written. Its texts are the entry's. */
struct item journal_item(const struct journal_entry *entry);
/* Is this value there by us? */
bool journal_is_ours(const struct journal_entry *entry, const char *value);
