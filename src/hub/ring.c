/* SPDX-License-Identifier: PostgreSQL
 * See ring.h. */
#include "config.h"
#include "hub/ring.h"

#include <stdlib.h>

#include "base/mem.h"

void ring_init(struct ring *r, size_t max_events, uint64_t max_bytes)
{
	*r = (struct ring){.max_events = max_events ? max_events : 1, .max_bytes = max_bytes};
}

static void drop_oldest(struct ring *r)
{
	struct event *e = r->slots[r->tail++ % r->cap];

	r->bytes -= e->bytes;
	if (e->txid > r->evicted_txid)
		r->evicted_txid = e->txid;
	event_unref(e);
}

void ring_free(struct ring *r)
{
	while (r->tail < r->head)
		drop_oldest(r);
	free(r->slots);
	*r = (struct ring){0};
}

void ring_reset(struct ring *r, uint64_t floor_txid)
{
	while (r->tail < r->head)
		drop_oldest(r);
	r->evicted_txid = floor_txid;
}

static void grow(struct ring *r)
{
	size_t cap = r->cap ? r->cap * 2 : 256;
	struct event **slots;

	if (cap > r->max_events)
		cap = r->max_events;
	slots = xcalloc(cap, sizeof(*slots));
	for (uint64_t s = r->tail; s < r->head; s++)
		slots[s % cap] = r->slots[s % r->cap];
	free(r->slots);
	r->slots = slots;
	r->cap = cap;
}

void ring_add(struct ring *r, struct event *e)
{
	if (r->head - r->tail == r->cap && r->cap < r->max_events)
		grow(r);
	while (r->head > r->tail &&
	       (r->head - r->tail == r->cap || r->bytes + e->bytes > r->max_bytes))
		drop_oldest(r);
	r->slots[r->head++ % r->cap] = event_ref(e);
	r->bytes += e->bytes;
}

bool ring_covers(const struct ring *r, const struct cursor *c)
{
	return cursor_xmin(c) > r->evicted_txid;
}

struct event *ring_at(const struct ring *r, uint64_t seq)
{
	return seq >= r->tail && seq < r->head ? r->slots[seq % r->cap] : NULL;
}
