/* SPDX-License-Identifier: PostgreSQL
 * See sse.h. */
#include "config.h"
#include "wire/sse.h"

#include <string.h>

#include "base/mem.h"

void sse_retry(struct buf *b, uint64_t ms)
{
	buf_str(b, "retry: ");
	buf_u64(b, ms);
	buf_char(b, '\n');
}

/* Bytes before the first line end, or all. */
static size_t line_len(const char *text, size_t len)
{
	const char *lf = memchr(text, '\n', len), *cr;
	size_t n = lf ? (size_t)(lf - text) : len;

	cr = memchr(text, '\r', n);
	return cr ? (size_t)(cr - text) : n;
}

void sse_data(struct buf *b, const char *text, size_t len)
{
	const char *end = text + len;

	for (;;) {
		size_t n = line_len(text, (size_t)(end - text));

		buf_str(b, "data: ");
		buf_add(b, text, n);
		buf_char(b, '\n');
		text += n;
		if (text == end)
			return;
		text += *text == '\r' && text + 1 < end && text[1] == '\n' ? 2 : 1;
	}
}

static void line(struct buf *b, const char *field, const char *value)
{
	buf_str(b, field);
	for (; *value; value++)
		buf_char(b, *value == '\n' || *value == '\r' ? ' ' : *value);
	buf_char(b, '\n');
}

void sse_message(struct buf *b, const struct buf *name, const struct buf *comment,
		 const struct buf *text, const char *id, uint64_t retry_ms)
{
	if (!text->len && !comment->len && !id)
		return;
	if (comment->len)
		sse_comment(b, buf_cstr(comment));
	if (name->len)
		line(b, "event: ", buf_cstr(name));
	if (text->len)
		sse_data(b, buf_cstr(text), text->len);
	if (id)
		line(b, "id: ", id);
	if (retry_ms)
		sse_retry(b, retry_ms);
	buf_char(b, '\n');
}

void sse_comment(struct buf *b, const char *text)
{
	line(b, ": ", text);
}

void sse_crlf(struct buf *b, size_t from)
{
	autofree char *text = NULL;
	const char *at, *lf, *end;
	size_t len = b->len - from;

	if (!len)
		return;
	text = xstrndup(b->data + from, len);
	b->len = from;
	for (at = text, end = text + len; (lf = memchr(at, '\n', (size_t)(end - at)));
	     at = lf + 1) {
		buf_add(b, at, (size_t)(lf - at));
		buf_add(b, "\r\n", 2);
	}
	buf_add(b, at, (size_t)(end - at));
}
