/* SPDX-License-Identifier: PostgreSQL
 * See queue.h. */
#include "config.h"
#include "hub/queue.h"

#include <stdlib.h>

#include "base/ledger.h"

void queue_init(struct queue *q, size_t max_frames, size_t max_bytes)
{
	*q = (struct queue){.max_frames = (uint32_t)max_frames, .max_bytes = max_bytes};
}

void queue_free(struct queue *q)
{
	while (q->n)
		queue_pop(q);
}

void queue_grow(struct queue *q)
{
	uint32_t cap = q->cap ? q->cap * 2 : 16;
	struct frame **items = xcalloc(cap, sizeof(*items));

	for (uint32_t i = 0; i < q->n; i++)
		items[i] = queue_at(q, i);
	free(q->items);
	ledger_add((int64_t)((cap - q->cap) * sizeof(*items)));
	q->items = items;
	q->head = 0;
	q->cap = cap;
}

void queue_shrink(struct queue *q)
{
	free(q->items);
	ledger_add(-(int64_t)(q->cap * sizeof(*q->items)));
	q->items = NULL;
	q->cap = q->head = 0;
}
