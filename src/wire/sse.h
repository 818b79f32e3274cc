/* SPDX-License-Identifier: PostgreSQL
 * Server-sent events: the lines of an event stream (WHATWG HTML, section 9.2.5 "Parsing an event
 * stream" and 9.2.6 "Interpreting an event stream"). */
#ifndef PGHERALD_WIRE_SSE_H
#define PGHERALD_WIRE_SSE_H

#include "base/buf.h"

/* "id: …": must hold no CR, LF or NUL; ours come from cursor_format(). */
void sse_id(struct buf *b, const char *id);
/* "retry: N": the reconnection time in milliseconds. */
void sse_retry(struct buf *b, uint64_t ms);
/* One "data: " line per line of `text`; the client joins them with LF again. */
void sse_data(struct buf *b, const char *text, size_t len);
/* ": text", a line that no client shows. Without the blank line that some clients would take
 * for an empty message. Line ends in `text` become spaces. */
void sse_comment(struct buf *b, const char *text);
/* The blank line that ends an event. */
void sse_end(struct buf *b);

#endif
