/* agent/tune/setting.h - one setting, one result: what apply, verify and revert share. */
#pragma once

#include "agent/tune/apply.h"

/* May the settings of this host be written at all? -EPERM, -EROFS. */
int tuner_check(const struct tuner *t, char error[static 256]);
/* Writes and reads back. 0 with what is there now, or -errno. */
int item_set(struct tuner *t, const struct item *item, const char *value, char **ret_actual);
/* Does this error of reading or writing mean that there is no such thing (any more)? */
bool setting_is_gone(int r);

/* Begins an empty list. */
void outcomes_init(struct outcomes *o);
/* The new one's texts are copies. */
struct outcome *outcomes_add(struct outcomes *o, const struct item *item,
	enum outcome_result result, const char *before, const char *after);
/* `format` is the reason; NULL: none. */
void outcome_set(struct outcome *o, enum outcome_result result, int error, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
void outcomes_count(struct outcomes *o);

/* Loads the journal and finds where its things are now. */
int journal_open(
	struct tuner *t, const struct host *host, struct journal **ret, char error[static 256]);
/* Names of devices and numbers of interrupts change: gives every entry those of today, or marks it as
 * gone. */
void journal_locate(struct journal *journal, struct tuner *t, const struct host *host);

/* A value to be put back. */
struct restore {
	struct journal_entry *entry;
	const char *value;
	int error; /* result */
};

/* Puts them back, the last one first. */
void restore_all(struct tuner *t, struct journal *journal, GArray *restores);
