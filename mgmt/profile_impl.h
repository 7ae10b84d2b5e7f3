/* mgmt/profile_impl.h - the members of a profile, by which it is made, read and written. */
#pragma once

#include "mgmt/profile.h"

enum profile_kind {
	PROFILE_BOOL, /* bool */
	PROFILE_SWITCH, /* int64_t: 0, 1, PROFILE_UNSET for null */
	PROFILE_INT, /* int64_t */
	PROFILE_INT_OR_NULL, /* int64_t */
	PROFILE_STRING, /* char * */
	PROFILE_URL, /* char *; an object of the parts of an URL */
	PROFILE_LIST, /* char ** */
	PROFILE_KEY, /* struct wg_key; "" for zero */
};

struct profile_member {
	const char *key;
	enum profile_kind kind;
	size_t offset; /* in struct profile */
	int64_t number, max; /* default, and the largest that is taken */
	const char *text; /* default; of a list with spaces in between */
	bool imported;
	const char *instead; /* NULL: nothing is lost when it has no effect here */
};

enum { PROFILE_MEMBERS = 37 };
extern const struct profile_member profile_members[PROFILE_MEMBERS];

static inline void *profile_at(const struct profile *profile, const struct profile_member *member)
{
	return (char *)profile + member->offset;
}
