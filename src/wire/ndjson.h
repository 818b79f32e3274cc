/* SPDX-License-Identifier: PostgreSQL
 * Newline-delimited JSON (github.com/ndjson/ndjson-spec): an object a line. What SSE says beside
 * the data are members of the object here. */
#ifndef PGHERALD_WIRE_NDJSON_H
#define PGHERALD_WIRE_NDJSON_H

#include <stdint.h>

#include "base/buf.h"

/* The object `json`, which has a member at least, with "id" (our own spelling, or NULL) and "retry"
 * (milliseconds, or 0) as its last members. Line ends in it become spaces: they can only stand
 * between two tokens. */
void ndjson_object(struct buf *b, const char *json, size_t len, const char *id, uint64_t retry_ms);
/* The same as a line. */
void ndjson_message(struct buf *b, const char *json, size_t len, const char *id, uint64_t retry_ms);

#endif
