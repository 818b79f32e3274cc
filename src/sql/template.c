/* SPDX-License-Identifier: PostgreSQL
 * See template.h. */
#include "config.h"
#include "sql/template.h"

#include <assert.h>
#include <string.h>

static const char *value_of(const struct slot *slots, const char *name, size_t len)
{
	for (; slots->name; slots++)
		if (strlen(slots->name) == len && memcmp(slots->name, name, len) == 0)
			return slots->value;
	assert(false && "every {{name}} of a template has a value");
	return "";
}

static size_t column_of_end(const struct buf *out)
{
	size_t i = out->len;

	while (i > 0 && out->data[i - 1] != '\n')
		i--;
	return out->len - i;
}

static void add_value(struct buf *out, const char *value)
{
	size_t indent = column_of_end(out);

	for (; *value; value++) {
		buf_char(out, *value);
		for (size_t i = 0; *value == '\n' && value[1] != '\n' && i < indent; i++)
			buf_char(out, ' ');
	}
}

/* One line of the template, [p, end) without its line break. */
static void fill_line(struct buf *out, const char *p, const char *end, const struct slot *slots)
{
	bool only_slots = false;
	size_t before = out->len, indent = strspn(p, " ");

	while (p < end) {
		const char *open = memmem(p, (size_t)(end - p), "{{", 2);
		const char *close = open ? memmem(open, (size_t)(end - open), "}}", 2) : NULL;

		if (!close) {
			buf_add(out, p, (size_t)(end - p));
			break;
		}
		buf_add(out, p, (size_t)(open - p));
		add_value(out, value_of(slots, open + 2, (size_t)(close - open - 2)));
		p = close + 2;
		only_slots = p == end;
	}
	if (only_slots && out->len == before + indent && buf_ok(out)) {
		out->len = before; /* nothing came: no empty line either */
		return;
	}
	buf_char(out, '\n');
}

void template_fill(struct buf *out, const char *text, const struct slot *slots)
{
	while (*text) {
		const char *end = strchrnul(text, '\n');

		fill_line(out, text, end, slots);
		text = *end ? end + 1 : end;
	}
}

void template_fill_within(struct buf *out, const char *text, const struct slot *slots)
{
	size_t before = out->len;

	template_fill(out, text, slots);
	if (out->len > before)
		out->data[--out->len] = '\0';
}
