/* SPDX-License-Identifier: PostgreSQL
 * The messages of a stream as a JSON Schema. */
#ifndef PGHERALD_TYPES_SCHEMA_H
#define PGHERALD_TYPES_SCHEMA_H

#include "base/buf.h"
#include "types/topics.h"

/* One schema (draft 2020-12) for every message that a stream sends; the documents in `$defs`. */
void schema_write(struct buf *out, const struct topics *t);

#endif
