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
