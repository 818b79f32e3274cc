/* SPDX-License-Identifier: PostgreSQL
 * See value.h. */
#include "config.h"
#include "conf/value.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"

void *value_at(void *base, size_t offset)
{
	return (char *)base + offset;
}

const void *value_at_const(const void *base, size_t offset)
{
	return (const char *)base + offset;
}

static void list_free(struct conf_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->items[i]);
	free(l->items);
	*l = (struct conf_list){0};
}

/* "a, b , c": items without the spaces around them; empty ones are an error. */
static bool list_parse(struct conf_list *l, const char *text)
{
	list_free(l);
	text += strspn(text, " \t\n");
	while (*text) {
		size_t len = strcspn(text, ",");
		size_t end = len;

		while (end && strchr(" \t\n", text[end - 1]))
			end--;
		if (!end)
			return false;
		l->items = xrealloc(l->items, l->n + 1, sizeof(*l->items));
		l->items[l->n++] = xstrndup(text, end);
		text += len;
		if (*text == ',') {
			text++;
			text += strspn(text, " \t\n");
			if (!*text)
				return false;
		}
	}
	return true;
}

static bool number_in_range(const struct setting *s, uint64_t n, struct buf *error)
{
	if (n >= s->min && (!s->max || n <= s->max))
		return true;
	if (s->max)
		buf_printf(error, "%s must be between %" PRIu64 " and %" PRIu64, s->name, s->min,
			   s->max);
	else
		buf_printf(error, "%s must be at least %" PRIu64, s->name, s->min);
	if (s->type == TYPE_DURATION)
		buf_str(error, " milliseconds");
	return false;
}

bool value_set(const struct setting *s, void *base, const char *value, struct buf *error)
{
	void *at = value_at(base, s->offset);
	uint64_t n;

	switch (s->type) {
	case TYPE_TEXT:
	case TYPE_SECRET:
		free(*(char **)at);
		*(char **)at = xstrdup(value);
		return true;
	case TYPE_LIST:
		if (list_parse(at, value))
			return true;
		buf_printf(error, "%s: a comma without an item", s->name);
		return false;
	case TYPE_COUNT:
		if (!num_u64(value, strlen(value), &n)) {
			buf_printf(error, "%s must be a number, not \"%.80s\"", s->name, value);
			return false;
		}
		break;
	case TYPE_SIZE:
		if (!num_size(value, &n)) {
			buf_printf(error, "%s must be a size such as 512KiB, not \"%.80s\"",
				   s->name, value);
			return false;
		}
		break;
	case TYPE_DURATION:
		if (!num_duration_ms(value, &n)) {
			buf_printf(error,
				   "%s must be a time such as 250ms, 30s or 24h, not \"%.80s\"",
				   s->name, value);
			return false;
		}
		break;
	case TYPE_YESNO:
		if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0) {
			buf_printf(error, "%s must be yes or no, not \"%.80s\"", s->name, value);
			return false;
		}
		*(bool *)at = *value == 'y';
		return true;
	case TYPE_CHOICE:
		for (int i = 0; s->choices[i]; i++)
			if (!strcmp(s->choices[i], value)) {
				*(int *)at = i;
				return true;
			}
		buf_printf(error, "%s must be", s->name);
		for (int i = 0; s->choices[i]; i++)
			buf_printf(error, "%s%s", i ? " or " : " ", s->choices[i]);
		buf_printf(error, ", not \"%.80s\"", value);
		return false;
	}
	if (!number_in_range(s, n, error))
		return false;
	*(uint64_t *)at = n;
	return true;
}

void value_defaults(const struct setting *s, void *base)
{
	autobuf error = {0};

	buf_init(&error, VALUE_MAX);
	for (; s->name; s++)
		if (s->def && !value_set(s, base, s->def, &error))
			abort(); /* our own table is wrong */
}

void value_free(const struct setting *s, void *base)
{
	for (; s->name; s++) {
		void *at = value_at(base, s->offset);

		if (s->type == TYPE_TEXT || s->type == TYPE_SECRET)
			free(*(char **)at);
		else if (s->type == TYPE_LIST)
			list_free(at);
	}
}

void value_print(const struct setting *s, const void *base, struct buf *out)
{
	const void *at = value_at_const(base, s->offset);
	const struct conf_list *l = at;
	uint64_t n;

	switch (s->type) {
	case TYPE_TEXT:
		buf_str(out, *(char *const *)at);
		break;
	case TYPE_SECRET: /* may hold a password */
		buf_str(out, **(char *const *)at ? VALUE_CROSSED_OUT : "");
		break;
	case TYPE_LIST:
		for (size_t i = 0; i < l->n; i++)
			buf_printf(out, "%s%s", i ? ", " : "", l->items[i]);
		break;
	case TYPE_DURATION:
		n = *(const uint64_t *)at;
		if (n % 1000)
			buf_printf(out, "%" PRIu64 "ms", n);
		else
			buf_printf(out, "%" PRIu64 "s", n / 1000);
		break;
	case TYPE_COUNT:
	case TYPE_SIZE:
		buf_u64(out, *(const uint64_t *)at);
		break;
	case TYPE_YESNO:
		buf_str(out, *(const bool *)at ? "yes" : "no");
		break;
	case TYPE_CHOICE:
		buf_str(out, s->choices[*(const int *)at]);
		break;
	}
}
