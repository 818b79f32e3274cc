/* SPDX-License-Identifier: PostgreSQL
 * See shown.h. */
#include "config.h"
#include "base/shown.h"

#include <string.h>

#include "base/utf8.h"

/* Of how many bytes the first character is, or what is none; whether it stands as it is. */
static bool seen(const char *text, size_t left, size_t *ret_len)
{
	size_t n = utf8_len(text, left);

	*ret_len = n ? n : 1;
	return n && !utf8_unseen(utf8_code(text, n));
}

void shown_add(struct buf *out, const char *text)
{
	for (size_t left = strlen(text), n; left; text += n, left -= n)
		if (seen(text, left, &n))
			buf_add(out, text, n);
		else
			buf_char(out, *text == '\t' ? ' ' : '?');
}

void shown_print(FILE *to, const char *text, size_t len)
{
	for (size_t n; len; text += n, len -= n)
		if (seen(text, len, &n))
			fwrite(text, 1, n, to);
		else
			fputc(*text == '\t' ? ' ' : '?', to);
}

void shown_print_lines(FILE *to, const char *text)
{
	for (;;) {
		size_t len = strcspn(text, "\n");

		shown_print(to, text, len);
		if (!text[len])
			return;
		fputc('\n', to);
		text += len + 1;
	}
}
