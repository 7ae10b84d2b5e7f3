/* agent/base/version.h - versions as semver.org has them: reading, and which of two is older. Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { VERSION_PARTS = 3, VERSION_PRE_MAX = 48 };

struct version {
	uint32_t parts[VERSION_PARTS];
	char pre[VERSION_PRE_MAX]; /* "rc.1"; "": a release */
};

/* "1.2.3", "v1.2", "1.2.3-rc.1+build": what is not there is 0, and a build means nothing. 0, or -EINVAL. */
int version_parse(const char *s, size_t len, struct version *ret);
/* < 0: `a` is older; 0: they are the same; > 0: `a` is newer. */
int version_compare(const struct version *a, const struct version *b);
