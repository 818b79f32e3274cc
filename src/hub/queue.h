/* SPDX-License-Identifier: PostgreSQL
 * What one stream still has to send: frames in order, bounded in number and bytes. Takes no
 * memory while it is empty. */
#ifndef PGHERALD_HUB_QUEUE_H
#define PGHERALD_HUB_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "wire/frame.h"

struct queue {
	struct frame **items; /* items[(head + i) % cap], cap a power of two */
	struct frame *only;   /* the one frame while cap is 0: no allocation per delivery */
	uint32_t head, n, cap;
	uint32_t max_frames;
	size_t bytes, max_bytes; /* of bodies */
};

void queue_init(struct queue *q, size_t max_frames, size_t max_bytes);
/* Drops everything. */
void queue_free(struct queue *q);
/* Takes a reference of its own. False, and nothing taken, past a bound; one frame always fits
 * an empty queue, however large it is. */
bool queue_push(struct queue *q, struct frame *f) MUST_CHECK;
/* The same past the bounds, for the daemon's own few words (farewell, resync). */
void queue_force(struct queue *q, struct frame *f);
/* The i-th waiting frame, i < q->n. */
struct frame *queue_at(const struct queue *q, uint32_t i);
/* Forgets the first one. Gives the memory back when that was the last. */
void queue_pop(struct queue *q);

#endif
