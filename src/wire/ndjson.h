/* SPDX-License-Identifier: PostgreSQL
 * Newline-delimited JSON (github.com/ndjson/ndjson-spec): an object a line. What SSE says beside
 * the data are members of the object here. */
#ifndef PGHERALD_WIRE_NDJSON_H
#define PGHERALD_WIRE_NDJSON_H

#include "base/buf.h"

/* A JSON text on a line. Line ends in it become spaces: they can only stand between two tokens. */
void ndjson_text(struct buf *b, const char *json, size_t len);
/* The same with the line's end; of nothing a blank line, which clients pass over. */
void ndjson_message(struct buf *b, const char *json, size_t len);

#endif
