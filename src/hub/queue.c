/* SPDX-License-Identifier: PostgreSQL
 * See queue.h. */
#include "config.h"
#include "hub/queue.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"

void queue_init(struct queue *q, size_t max_frames, size_t max_bytes)
{
	*q = (struct queue){.max_frames = (uint32_t)max_frames, .max_bytes = max_bytes};
}

void queue_free(struct queue *q)
{
	while (q->n)
		queue_pop(q);
}

void queue_force(struct queue *q, struct frame *f)
{
	q->bytes += f->body_len;
	if (!q->cap && !q->n) {
		q->only = frame_ref(f);
		q->n = 1;
		return;
	}
	if (q->n >= q->cap) {
		uint32_t cap = q->cap ? q->cap * 2 : 16;
		struct frame **items = xcalloc(cap, sizeof(*items));

		for (uint32_t i = 0; i < q->n; i++)
			items[i] = queue_at(q, i);
		free(q->items);
		q->items = items;
		q->head = 0;
		q->cap = cap;
	}
	q->items[(q->head + q->n++) & (q->cap - 1)] = frame_ref(f);
}

bool queue_push(struct queue *q, struct frame *f)
{
	if (q->n && (q->n >= q->max_frames || f->body_len > q->max_bytes ||
		     q->bytes > q->max_bytes - f->body_len))
		return false;
	queue_force(q, f);
	return true;
}

struct frame *queue_at(const struct queue *q, uint32_t i)
{
	return q->cap ? q->items[(q->head + i) & (q->cap - 1)] : q->only;
}

void queue_pop(struct queue *q)
{
	struct frame *f = queue_at(q, 0);

	assert(q->n);
	if (q->cap)
		q->head = (q->head + 1) & (q->cap - 1);
	q->n--;
	q->bytes -= f->body_len;
	frame_unref(f);
	if (!q->n) {
		free(q->items);
		q->items = NULL;
		q->cap = q->head = 0;
	}
}
