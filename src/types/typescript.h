/* SPDX-License-Identifier: PostgreSQL
 * The events' types for TypeScript. */
#ifndef PGHERALD_TYPES_TYPESCRIPT_H
#define PGHERALD_TYPES_TYPESCRIPT_H

#include "base/buf.h"
#include "types/topics.h"

/* A module: an interface for each topic, and `Events`, by the events' names. */
void typescript_write(struct buf *out, const struct topics *t);

#endif
