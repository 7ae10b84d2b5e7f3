/* agent/push_config.h - what a server of metrics says of who is to push, whereto and how often. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/jread.h"
#include "agent/base/text.h"
#include "agent/base/version.h"

enum {
	PUSH_CONFIG_SIZE_MAX = 4096,
	PUSH_PERIOD_MAX_MIN = 7 * 24 * 60,
	PUSH_ERROR_MAX = JREAD_ERROR_MAX,
};

struct push_config {
	char server_url[TEXT_URL_MAX + 1];
	struct version since, until;
	uint32_t period_min;
};

/* JSON: "server_url", "version-since", "version-until" and "period_minutes", and whatever else, which is
 * skipped. 0, or -EINVAL with a line in `error`; *ret is untouched then. */
int push_config_parse(
	const char *text, size_t len, struct push_config *ret, char error[static PUSH_ERROR_MAX]);
/* From `since` on, and before `until`. */
bool push_config_allows(const struct push_config *config, const struct version *own);
