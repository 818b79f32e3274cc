/* SPDX-License-Identifier: PostgreSQL
 * See sse.h. */
#include "config.h"
#include "wire/sse.h"

void sse_id(struct buf *b, const char *id)
{
	buf_str(b, "id: ");
	buf_str(b, id);
	buf_char(b, '\n');
}

void sse_retry(struct buf *b, uint64_t ms)
{
	buf_str(b, "retry: ");
	buf_u64(b, ms);
	buf_char(b, '\n');
}

void sse_data(struct buf *b, const char *text, size_t len)
{
	size_t start = 0;

	for (size_t i = 0; i <= len; i++) {
		if (i < len && text[i] != '\n' && text[i] != '\r')
			continue;
		buf_str(b, "data: ");
		buf_add(b, text + start, i - start);
		buf_char(b, '\n');
		if (i + 1 < len && text[i] == '\r' && text[i + 1] == '\n')
			i++;
		start = i + 1;
	}
}

void sse_comment(struct buf *b, const char *text)
{
	buf_str(b, ": ");
	for (; *text; text++)
		buf_char(b, *text == '\n' || *text == '\r' ? ' ' : *text);
	buf_char(b, '\n');
}

void sse_end(struct buf *b)
{
	buf_char(b, '\n');
}
