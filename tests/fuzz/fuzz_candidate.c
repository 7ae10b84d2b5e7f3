/* tests/fuzz/fuzz_candidate.c - any line: what is taken is written in one form, which is taken as the same. */
/* covers: agent/base/candidate.c */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "ice/candidate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct prefix overlay = { AF_INET, 10, { 100, 64 } };
	char first[CANDIDATE_LINE_MAX], second[CANDIDATE_LINE_MAX];
	struct candidate c, again, extra;
	int r = candidate_parse((const char *)data, size, &c);

	assert(r == 0 || r == -EINVAL || r == -ENOTSUP);
	if (r < 0)
		return 0;
	candidate_format(&c, first);
	assert(candidate_parse(first, strlen(first), &again) == 0);
	assert(!strcmp(candidate_format(&again, second), first));
	if (candidate_make_extra(&c, &extra))
		assert(extra.address.port == c.related.port);
	if (!candidate_refusal(&c, &overlay, 1))
		assert(c.address.port);
	candidate_complete(&c);
	candidate_format(&c, first);
	assert(candidate_parse(first, strlen(first), &again) == 0);
	return 0;
}
