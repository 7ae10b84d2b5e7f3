/* agent/tune/plan_item.c - one setting of a plan: as it is, as it should be, and are these the same? */
#include <errno.h>
#include <string.h>

#include "agent/tune/plan_impl.h"

/* -- values ----------------------------------------------------------------------------------- */

/* The next word of a text, or "" at its end. */
static size_t next_word(const char **at)
{
	*at += strspn(*at, " \t\n");
	return strcspn(*at, " \t\n");
}

static bool is_same_number(const char *a, size_t len_a, const char *b, size_t len_b)
{
	g_autofree char *left = g_strndup(a, len_a), *right = g_strndup(b, len_b);
	gint64 x, y;

	return g_ascii_string_to_signed(left, 10, G_MININT64, G_MAXINT64, &x, NULL) &&
		g_ascii_string_to_signed(right, 10, G_MININT64, G_MAXINT64, &y, NULL) && x == y;
}

static bool is_same_words(const char *a, const char *b, bool numbers)
{
	for (;;) {
		size_t len_a = next_word(&a), len_b = next_word(&b);
		bool same = len_a == len_b && !memcmp(a, b, len_a);

		if (!same && !(numbers && is_same_number(a, len_a, b, len_b)))
			return false;
		if (!len_a)
			return true;
		a += len_a;
		b += len_b;
	}
}

static bool is_same_mask(const char *a, const char *b)
{
	struct cpuset x, y;

	if (cpuset_parse_mask(a, &x) < 0 || cpuset_parse_mask(b, &y) < 0)
		return !strcmp(a, b);
	return cpuset_is_equal(&x, &y);
}

bool item_is_equal(enum item_form form, const char *a, const char *b)
{
	if (!a || !b)
		return a == b;
	return form == FORM_MASK ? is_same_mask(a, b) : is_same_words(a, b, form == FORM_NUMBERS);
}

bool number_parse(const char *text, uint64_t *ret)
{
	return text && g_ascii_string_to_unsigned(text, 10, 0, G_MAXUINT64, ret, NULL);
}

uint64_t power_of_two_in(uint64_t n)
{
	return n ? UINT64_C(1) << (63 - __builtin_clzll(n)) : 0;
}

/* -- new items -------------------------------------------------------------------------------- */

/* The kernel separates numbers by tabs. */
static char *copy_value(const char *text)
{
	return g_strdelimit(g_strdup(text), "\t", ' ');
}

static struct item *add(struct planner *p, const char *device, const struct host_value *now)
{
	struct item *item = g_new0(struct item, 1);

	item->knob = p->knob;
	item->queue = -1;
	item->attr = NIC_ATTRS;
	item->device = g_strdup(device);
	if (now->text) {
		item->current = copy_value(now->text);
		item->wanted = copy_value(now->text);
	} else if (now->error == -ENOENT || now->error == -EOPNOTSUPP) {
		item->state = ITEM_UNSUPPORTED;
		item->reason = g_strdup_printf(
			"%s does not have it", device ? device : "this host");
	} else {
		item->state = ITEM_UNREADABLE;
		item->error = now->error;
	}
	g_ptr_array_add(p->plan->items, item);
	return item;
}

struct item *plan_file(struct planner *p, enum item_form form, const char *device,
	const struct host_value *now, char *take_object, char *take_path)
{
	struct item *item = add(p, device, now);

	item->where = ITEM_FILE;
	item->form = form;
	item->object = take_object;
	item->path = take_path;
	return item;
}

struct item *plan_sysctl(struct planner *p, enum item_form form, enum host_sysctl sysctl)
{
	struct item *item = plan_file(p, form, NULL, &p->host->sysctls[sysctl],
		g_strdup(host_sysctl_name(sysctl)), g_strdup(host_sysctl_path(sysctl)));

	item->sysctl = true;
	return item;
}

struct item *plan_attr(
	struct planner *p, const struct host_nic *nic, enum nic_attr attr, const char *suffix)
{
	struct item *item = add(p, nic->name, &nic->attrs[attr]);

	item->where = ITEM_NIC;
	item->form = FORM_TEXT;
	item->attr = attr;
	item->object = suffix ? g_strdup_printf("%s %s", nic->name, suffix) : g_strdup(nic->name);
	return item;
}

/* -- what becomes of them --------------------------------------------------------------------- */

static void G_GNUC_PRINTF(4, 0) decide(struct item *item, enum item_state state, const char *wanted,
	const char *reason, va_list ap)
{
	char *copy = g_strdup(wanted);

	if (!item->current) {
		g_free(copy);
		return;
	}
	item->state = state;
	g_free(item->wanted);
	item->wanted = copy;
	g_free(item->reason);
	item->reason = g_strdup_vprintf(reason, ap);
}

void item_want(struct item *item, const char *wanted, const char *reason, ...)
{
	bool same = item_is_equal(item->form, item->current, wanted);
	va_list ap;

	va_start(ap, reason);
	decide(item, same ? ITEM_OK : ITEM_DIFFERS, wanted, reason, ap);
	va_end(ap);
}

void item_leave(struct item *item, const char *reason, ...)
{
	va_list ap;

	va_start(ap, reason);
	decide(item, ITEM_OK, item->current, reason, ap);
	va_end(ap);
}

void item_refuse(struct item *item, const char *reason, ...)
{
	va_list ap;

	va_start(ap, reason);
	decide(item, ITEM_UNSUPPORTED, NULL, reason, ap);
	va_end(ap);
}

static void fail(struct item *item)
{
	item->state = ITEM_UNREADABLE;
	item->error = -EINVAL;
}

bool item_number(struct item *item, uint64_t *ret)
{
	bool good = number_parse(item->current, ret);

	if (item->current && !good)
		fail(item);
	return good;
}

/* The larger of each two numbers; NULL: these are not as many numbers. */
static char *larger_of(const char *a, const char *b)
{
	g_auto(GStrv) left = g_strsplit_set(a, " \t", -1), right = g_strsplit(b, " ", -1);
	GString *out = g_string_new(NULL);
	unsigned n = g_strv_length(right);
	bool good = n == g_strv_length(left);

	for (unsigned i = 0; good && i < n; i++) {
		uint64_t x, y;

		good = number_parse(left[i], &x) && number_parse(right[i], &y);
		if (good)
			g_string_append_printf(
				out, "%s%" G_GUINT64_FORMAT, i ? " " : "", MAX(x, y));
	}
	return g_string_free(out, !good);
}

void item_raise(struct planner *p, struct item *item, const char *target, const char *reason, ...)
{
	g_autofree char *larger = NULL, *why = NULL;
	va_list ap;

	if (!item->current)
		return;
	va_start(ap, reason);
	why = g_strdup_vprintf(reason, ap);
	va_end(ap);
	larger = larger_of(item->current, target);
	if (!larger)
		fail(item);
	else if (p->options->force || !strcmp(larger, target))
		item_want(item, target, "%s", why);
	else
		item_want(item, larger, "%s; what is set higher than %s is left", why, target);
}

void plan_warn(struct planner *p, const char *warning, ...)
{
	va_list ap;

	va_start(ap, warning);
	g_ptr_array_add(p->plan->warnings, g_strdup_vprintf(warning, ap));
	va_end(ap);
}
