/* SPDX-License-Identifier: PostgreSQL
 * Streams that hear the same have the same queue: its frames are joined once, so that each stream's
 * send() hands the kernel one piece. Remembers one queue; whoever has another replaces it. */
#ifndef PGHERALD_HUB_JOINED_H
#define PGHERALD_HUB_JOINED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hub/queue.h"

#define JOINED_MAX_FRAMES 64
#define JOINED_MAX_BYTES  32768 /* a socket's send buffer takes no more at once */

struct joined {
	struct frame *frames[JOINED_MAX_FRAMES]; /* a reference each */
	uint32_t n;
	bool chunked;
	bool made;  /* `bytes` holds them */
	size_t len; /* of all of them */
	char bytes[JOINED_MAX_BYTES];
};

/* Whether the queue is the remembered one for the second time and fits: `j->bytes` then has all of
 * it, j->len bytes, as a client with or without chunks is sent it. */
bool joined_has(struct joined *j, const struct queue *q, bool chunked) MUST_CHECK;
/* Lets go of the frames. */
void joined_forget(struct joined *j);

#endif
