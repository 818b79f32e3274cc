/* SPDX-License-Identifier: PostgreSQL
 * What a message looks like to an application: the JSON of one dialect. How it is framed for a
 * transport is the transport's affair (form.h). A dialect is a row of functions. */
#ifndef PGHERALD_WIRE_DIALECT_H
#define PGHERALD_WIRE_DIALECT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct dialect {
	const char *name;
	/* The first message of a stream. For a client that asks who it is, with its `user` and the
	 * seconds between two keep-alives; NULL and 0: without. */
	void (*hello)(struct buf *b, const char *user, uint64_t keepalive_s);
	/* One change: `doc` is JSON text; `scope` is "enter", "leave" or NULL; `at` in seconds. */
	void (*event)(struct buf *b, const char *type, const char *doc, const char *scope,
		      int64_t at);
	void (*keepalive)(struct buf *b, int64_t at);
	/* The last message of a stream, where the transport has no way to say so. */
	void (*farewell)(struct buf *b, int64_t at);
	/* "Refetch": `topics` is a JSON array's text. */
	void (*resync)(struct buf *b, const char *reason, const char *topics, int64_t at);
};

/* Whether only the daemon itself may send a message of this type: connected, keepalive, and all
 * that is system or begins with "system.". */
bool dialect_reserves(const char *type) MUST_CHECK;

/* {"event": …, "data": …, "timestamp": …}, unnamed SSE events. */
extern const struct dialect dialect_django;

#endif
