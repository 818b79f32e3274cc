/* SPDX-License-Identifier: PostgreSQL
 * The little JSON that is written by hand: a string. Documents come from PostgreSQL as text and
 * pass through; what others sent is read by scan.h. */
#ifndef PGHERALD_WIRE_JSON_H
#define PGHERALD_WIRE_JSON_H

#include "base/buf.h"

/* Appends `s` as a JSON string with its quotes (RFC 8259 section 7). Bytes that are not UTF-8
 * become U+FFFD, so that the result always is. */
void json_string(struct buf *b, const char *s, size_t len);
/* Appends a JSON text as it is, but for U+0085, U+2028 and U+2029, which can only stand in its
 * strings and become \u0085, \u2028 and \u2029: to some clients they end a line. */
void json_text(struct buf *b, const char *text);

#endif
