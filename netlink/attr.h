/* netlink/attr.h - reading attributes of netlink messages, with every length checked. */
#pragma once

#include <errno.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct attr_walk {
	const uint8_t *at;
	size_t left; /* not 0 after the walk: the rest is not an attribute */
};

static inline size_t attr_len(const struct nlattr *a)
{
	return a->nla_len - sizeof(*a);
}

static inline const void *attr_data(const struct nlattr *a)
{
	return a + 1;
}

static inline uint16_t attr_type(const struct nlattr *a)
{
	return a->nla_type & NLA_TYPE_MASK;
}

/* What follows a family header of `header_len` bytes; a message too short for it has no attributes
 * and is told by `left` staying 0, so look at the header first. */
static inline struct attr_walk attr_walk_message(const struct nlmsghdr *nlh, size_t header_len)
{
	size_t offset = NLMSG_HDRLEN + NLMSG_ALIGN(header_len);
	size_t left = nlh->nlmsg_len > offset ? nlh->nlmsg_len - offset : 0;

	return (struct attr_walk){ (const uint8_t *)nlh + offset, left };
}

static inline struct attr_walk attr_walk_nested(const struct nlattr *a)
{
	return (struct attr_walk){ attr_data(a), attr_len(a) };
}

/* NULL at the end, or where the rest is no attribute. */
static inline const struct nlattr *attr_next(struct attr_walk *w)
{
	const struct nlattr *a = (const struct nlattr *)w->at;
	size_t step;

	if (w->left < sizeof(*a) || a->nla_len < sizeof(*a) || a->nla_len > w->left)
		return NULL;
	step = NLA_ALIGN(a->nla_len);
	if (step > w->left)
		step = w->left;
	w->at += step;
	w->left -= step;
	return a;
}

/* Sorts attributes by type; those from `n` on are left out. 0 or -EPROTO. */
static inline int attr_sort(struct attr_walk w, const struct nlattr **table, size_t n)
{
	const struct nlattr *a;

	memset(table, 0, n * sizeof(*table));
	while ((a = attr_next(&w)))
		if (attr_type(a) < n)
			table[attr_type(a)] = a;
	return w.left ? -EPROTO : 0;
}

/* False, and *ret is as it was, when the attribute is missing or of another size. */
static inline bool attr_copy(const struct nlattr *a, void *ret, size_t len)
{
	if (!a || attr_len(a) != len)
		return false;
	memcpy(ret, attr_data(a), len);
	return true;
}

/* Text of any length, terminated or not, cut to fit. */
static inline void attr_text(const struct nlattr *a, char *ret, size_t size)
{
	size_t len = a ? strnlen(attr_data(a), attr_len(a)) : 0;

	if (len >= size)
		len = size - 1;
	if (len)
		memcpy(ret, attr_data(a), len);
	ret[len] = '\0';
}
