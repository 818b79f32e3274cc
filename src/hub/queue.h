/* SPDX-License-Identifier: PostgreSQL
 * What one stream still has to send: frames in order, bounded in number and bytes. Takes no
 * memory while it is empty. What each delivery does is in here, to be inlined. */
#ifndef PGHERALD_HUB_QUEUE_H
#define PGHERALD_HUB_QUEUE_H

#include <assert.h>
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
/* Makes room for one more. */
void queue_grow(struct queue *q);
/* Gives the memory of an empty queue back. */
void queue_shrink(struct queue *q);

/* The i-th waiting frame, i < q->n. */
static inline struct frame *queue_at(const struct queue *q, uint32_t i)
{
	return q->cap ? q->items[(q->head + i) & (q->cap - 1)] : q->only;
}

/* Takes a reference of its own, past the bounds too: for the daemon's own few words. */
static inline void queue_force(struct queue *q, struct frame *f)
{
	q->bytes += f->body_len;
	if (!q->cap && !q->n) {
		q->only = frame_ref(f);
		q->n = 1;
		return;
	}
	if (q->n >= q->cap)
		queue_grow(q);
	q->items[(q->head + q->n++) & (q->cap - 1)] = frame_ref(f);
}

/* The same within the bounds. False, and nothing taken, past one; one frame always fits an empty
 * queue, however large it is. */
static inline MUST_CHECK bool queue_push(struct queue *q, struct frame *f)
{
	if (q->n && (q->n >= q->max_frames || f->body_len > q->max_bytes ||
		     q->bytes > q->max_bytes - f->body_len))
		return false;
	queue_force(q, f);
	return true;
}

/* Forgets the first one. Gives the memory back when that was the last. */
static inline void queue_pop(struct queue *q)
{
	struct frame *f = queue_at(q, 0);

	assert(q->n);
	if (q->cap)
		q->head = (q->head + 1) & (q->cap - 1);
	q->n--;
	q->bytes -= f->body_len;
	frame_unref(f);
	if (!q->n && q->cap)
		queue_shrink(q);
}

#endif
