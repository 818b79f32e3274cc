/* SPDX-License-Identifier: PostgreSQL
 * Server-sent events: the lines of an event stream (WHATWG HTML, section 9.2.5 "Parsing an event
 * stream" and 9.2.6 "Interpreting an event stream"). */
#ifndef PGHERALD_WIRE_SSE_H
#define PGHERALD_WIRE_SSE_H

#include "base/buf.h"

/* "retry: N", the reconnection time in milliseconds: taken at its line end. */
void sse_retry(struct buf *b, uint64_t ms);
/* One "data: " line per line of `text`; the client joins them with LF again. */
void sse_data(struct buf *b, const char *text, size_t len);
/* A whole event, with its blank line: a comment, a name, the data, an id and a "retry: N", each
 * unless it is empty, NULL or 0; nothing when all but the last are. `id` must hold no CR, LF or
 * NUL; ours come from cursor_format(). It stands behind the data: many clients take an id over with
 * its line and not with the event, and would go on behind one of which they have got the beginning
 * only. An id alone moves a client's position along, and no page hears of it. */
void sse_message(struct buf *b, const struct buf *name, const struct buf *comment,
		 const struct buf *text, const char *id, uint64_t retry_ms);
/* ": text", a line that no client shows. Without the blank line that some clients would take
 * for an empty message. Line ends in `text` become spaces. */
void sse_comment(struct buf *b, const char *text);

/* Makes CR LF of the line ends behind `from`, which has no CR: some clients were written for those
 * of one server. Every parser of event streams takes both. */
void sse_crlf(struct buf *b, size_t from);

#endif
