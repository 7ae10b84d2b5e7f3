/* agent/tune/nic_text.h - attributes of network devices as the text that nic.h says. Pure. */
#pragma once

#include <glib.h>
#include <stddef.h>
#include <stdint.h>

#include "netlink/ethtool.h"
#include "netlink/qdisc.h"

/* Parsing: 0 or -EINVAL. Formatting: 0, or -EMSGSIZE when it does not fit. */
int nic_format_channels(const struct eth_channels *channels, char *ret, size_t size);
int nic_parse_channels(const char *text, struct eth_channels *ret);
int nic_format_rings(const struct eth_rings *rings, char *ret, size_t size);
int nic_parse_rings(const char *text, struct eth_rings *ret);

/* -EOPNOTSUPP: the device hashes nothing, or by what we have no letter for. */
int nic_format_hash(uint64_t fields, char *ret, size_t size);
int nic_parse_hash(const char *text, uint64_t *ret);

/* *ret is fresh (g_free). */
int nic_format_table(const uint32_t *entries, size_t n, char *ret, size_t size);
int nic_parse_table(const char *text, uint32_t **ret, size_t *ret_n);

int nic_format_qdisc(const struct qdisc_root *root, char *ret, size_t size);
/* "mq fq fq", "fq": at least one word; *ret is fresh (g_strfreev). */
int nic_parse_qdisc(const char *text, GStrv *ret);

int nic_format_address(const uint8_t *address, size_t len, char *ret, size_t size);
