/* SPDX-License-Identifier: PostgreSQL
 * See json.h. */
#include "config.h"
#include "wire/json.h"

#include <string.h>

#include "base/utf8.h"

/* How many bytes at the beginning stand for themselves: printable ASCII but " and \. */
static size_t plain(const char *s, size_t len)
{
	size_t n = 0;

	while (n < len && s[n] >= ' ' && s[n] <= '~' && s[n] != '"' && s[n] != '\\')
		n++;
	return n;
}

void json_string(struct buf *b, const char *s, size_t len)
{
	static const char shorts[] = "\b\t\n\f\r\"\\";
	static const char letters[] = "btnfr\"\\";

	buf_char(b, '"');
	for (size_t i = 0; i < len;) {
		unsigned char c = (unsigned char)s[i];
		const char *hit;
		size_t n = plain(s + i, len - i);

		if (n) {
			buf_add(b, s + i, n);
			i += n;
		} else if (c && (hit = strchr(shorts, c))) {
			buf_char(b, '\\');
			buf_char(b, letters[hit - shorts]);
			i++;
		} else if (c < 0x20) {
			buf_printf(b, "\\u%04x", c);
			i++;
		} else if ((n = utf8_len(s + i, len - i))) {
			buf_add(b, s + i, n);
			i += n;
		} else {
			buf_str(b, "\xef\xbf\xbd");
			i++;
		}
	}
	buf_char(b, '"');
}

/* Where in `s` up to `end` the byte is, or `end`. */
static const char *find(const char *s, char byte, const char *end)
{
	const char *at = memchr(s, byte, (size_t)(end - s));

	return at ? at : end;
}

/* What stands for a line end that JSON does not know as one, of *ret_len bytes; NULL for others. */
static const char *line_end(const char *s, size_t *ret_len)
{
	if (s[0] == '\xc2' && s[1] == '\x85') {
		*ret_len = 2;
		return "\\u0085";
	}
	if (s[0] != '\xe2' || s[1] != '\x80' || (s[2] != '\xa8' && s[2] != '\xa9'))
		return NULL;
	*ret_len = 3;
	return s[2] == '\xa8' ? "\\u2028" : "\\u2029";
}

void json_text(struct buf *b, const char *text)
{
	const char *end = text + strlen(text);
	const char *c2 = find(text, '\xc2', end), *e2 = find(text, '\xe2', end);

	while (c2 < end || e2 < end) {
		const char *lead = c2 < e2 ? c2 : e2;
		size_t len;
		const char *escaped = line_end(lead, &len);

		if (escaped) {
			buf_add(b, text, (size_t)(lead - text));
			buf_str(b, escaped);
			text = lead + len;
		}
		if (lead == c2)
			c2 = find(lead + 1, '\xc2', end);
		else
			e2 = find(lead + 1, '\xe2', end);
	}
	buf_add(b, text, (size_t)(end - text));
}
