/* agent/cli/anonymize.h - takes out of texts who and where: the same thing is replaced by the same word everywhere. */
#pragma once

#include <glib.h>
#include <jansson.h>

enum anonymize {
	ANONYMIZE_OFF,
	ANONYMIZE_DEFAULT, /* keys, names of hosts, addresses that lead to them from outside */
	ANONYMIZE_STRICT, /* all addresses but those of loopback */
};

struct anonymizer;

struct anonymizer *anonymizer_new(enum anonymize level);
void anonymizer_free(struct anonymizer *a);
/* This is a name of a host or a mesh, wherever it stands. */
void anonymizer_learn(struct anonymizer *a, const char *name);
/* Fresh text. Names that nobody has told of are found where they are those of URLs and endpoints. */
char *anonymizer_text(struct anonymizer *a, const char *text);
/* Every string in it, but no key of an object. In place. */
void anonymizer_json(struct anonymizer *a, json_t *value);
/* The members of this object are called as hosts are; NULL is fine. */
void anonymizer_members(struct anonymizer *a, json_t *object);

/* Takes secrets out of a configuration, whatever the level: what is called so, and every key that is not a public one.
 * In place. */
void anonymize_secrets(json_t *value);
