/* SPDX-License-Identifier: PostgreSQL
 * Bytes that many streams send: made once, counted, never changed. The body stands inside one
 * HTTP/1.1 chunk (RFC 9112 section 7.1); an HTTP/1.0 client gets the body alone. */
#ifndef PGHERALD_WIRE_FRAME_H
#define PGHERALD_WIRE_FRAME_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct frame {
	atomic_int refs;
	uint32_t kind;	    /* whatever its list tells its frames apart by; 0 outside of one */
	uint32_t body_at;   /* where the body starts: after the chunk-size line */
	uint32_t body_len;  /* bytes */
	uint32_t len;	    /* of the whole chunk */
	struct frame *next; /* of the same event, in another form or view */
	char bytes[];
};

/* A frame around a copy of `body`; the caller owns one reference. */
struct frame *frame_new(const char *body, size_t len);
struct frame *frame_ref(struct frame *f);
void frame_unref(struct frame *f);

#endif
