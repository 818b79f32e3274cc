/* SPDX-License-Identifier: PostgreSQL
 * See array.h; the spelling is that of "Array Input and Output Syntax" in PostgreSQL's manual. */
#include "config.h"
#include "wire/array.h"

#include <string.h>
#include <strings.h>

/* One item: its bytes to `to`, unless that is NULL, and how many they are. Past the item, or NULL
 * when it is none. Unquoted items are as short as they can be: no space, no backslash. */
static const char *item(const char *p, char *to, size_t *ret_len, bool *ret_null)
{
	size_t n = 0;

	*ret_null = false;
	if (*p != '"') {
		n = strcspn(p, ",{}\"\\");
		*ret_null = n == 4 && strncasecmp(p, "NULL", 4) == 0;
		if (to)
			memcpy(to, p, n);
		*ret_len = n;
		return n ? p + n : NULL;
	}
	for (p++; *p != '"'; p++, n++) {
		if (*p == '\\')
			p++;
		if (!*p)
			return NULL;
		if (to)
			to[n] = *p;
	}
	*ret_len = n;
	return p + 1;
}

size_t array_count(const char *list)
{
	size_t n = 0, len;
	bool null;

	if (!list || list[0] != '{' || strcmp(list, "{}") == 0)
		return 0;
	do {
		list = item(list + 1, NULL, &len, &null);
		n += !null;
	} while (list && *list == ',');
	return list && strcmp(list, "}") == 0 ? n : 0;
}

void array_split(const char *list, char **at, char **ret)
{
	size_t left = array_count(list), len;
	bool null;

	for (size_t i = 0; i < left;) {
		list = item(list + 1, *at, &len, &null);
		if (null)
			continue;
		ret[i++] = *at;
		*at += len;
		*(*at)++ = '\0';
	}
}

/* Whether an item, as item() found it at `p` with so many bytes, says `text`. */
static bool says(const char *p, size_t len, const char *text)
{
	bool quoted = *p == '"';

	if (strlen(text) != len)
		return false;
	for (p += quoted; *text; p++, text++) {
		p += quoted && *p == '\\';
		if (*p != *text)
			return false;
	}
	return true;
}

bool array_has(const char *list, const char *text)
{
	size_t left = array_count(list), len;
	bool null;

	while (left) {
		const char *start = list + 1;

		list = item(start, NULL, &len, &null);
		if (null)
			continue;
		if (says(start, len, text))
			return true;
		left--;
	}
	return false;
}

void array_add(struct buf *b, const char *text)
{
	buf_str(b, b->len ? ",\"" : "{\"");
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			buf_char(b, '\\');
		buf_char(b, *text);
	}
	buf_char(b, '"');
}

void array_end(struct buf *b)
{
	buf_str(b, b->len ? "}" : "{}");
}
