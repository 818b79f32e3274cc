/* SPDX-License-Identifier: PostgreSQL
 * See json.h. */
#include "config.h"
#include "wire/json.h"

#include <string.h>

/* Bytes of the UTF-8 sequence at `s`, 0 when it is none (RFC 3629 section 4). */
static size_t utf8_len(const unsigned char *s, size_t left)
{
	size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;

	if (!n || s[0] > 0xf4 || n > left)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

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
		} else if ((n = utf8_len((const unsigned char *)s + i, len - i))) {
			buf_add(b, s + i, n);
			i += n;
		} else {
			buf_str(b, "\xef\xbf\xbd");
			i++;
		}
	}
	buf_char(b, '"');
}
