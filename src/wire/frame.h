/* SPDX-License-Identifier: PostgreSQL
 * Bytes that many streams send: made once, counted, never changed. The body stands inside one
 * HTTP/1.1 chunk (RFC 9112 section 7.1); an HTTP/1.0 client gets the body alone. */
#ifndef PGHERALD_WIRE_FRAME_H
#define PGHERALD_WIRE_FRAME_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct frame {
	atomic_int refs;
	uint32_t kind;	     /* whatever its list tells its frames apart by; 0 outside of one */
	uint32_t body_at;    /* where the body starts: after the chunk-size line */
	uint32_t body_len;   /* bytes */
	uint32_t len;	     /* of the whole chunk */
	atomic_bool counted; /* in the ledger: whoever waits for it holds it, and nobody else */
	struct frame *next;  /* of the same event, in another form or view */
	char bytes[];
};

/* A frame around a copy of `body`, counted (base/ledger.h); the caller owns one reference. */
struct frame *frame_new(const char *body, size_t len);
struct frame *frame_ref(struct frame *f);
void frame_unref(struct frame *f);
/* Whether its bytes are counted: not those that somebody else's bound has. For who holds a
 * reference, one at a time. */
void frame_count(struct frame *f, bool counted);
/* Of its bytes that are counted, the part of one reference. */
size_t frame_share(const struct frame *f);

#endif
