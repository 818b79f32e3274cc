/* SPDX-License-Identifier: PostgreSQL
 * The last events in the order of delivery, for clients that come back soon. Bounded by number
 * and by bytes; what falls out is still in the journal. */
#ifndef PGHERALD_HUB_RING_H
#define PGHERALD_HUB_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hub/event.h"
#include "wire/cursor.h"

struct ring {
	struct event **slots; /* slots[seq % cap] */
	size_t cap;
	size_t max_events, bytes;
	uint64_t max_bytes;
	uint64_t tail, head;   /* sequence numbers: tail <= seq < head are held */
	uint64_t evicted_txid; /* the highest txid that is no longer here */
};

void ring_init(struct ring *r, size_t max_events, uint64_t max_bytes);
void ring_free(struct ring *r);
/* Keeps a reference of its own; drops the oldest past the bounds. */
void ring_add(struct ring *r, struct event *e);
/* Empties it: whatever came before is unknown from here on (a new epoch). `floor_txid` is the
 * highest txid that the next events may follow. */
void ring_reset(struct ring *r, uint64_t floor_txid);
/* Whether every event that is not in `c` is held, so that replay needs no journal. */
bool ring_covers(const struct ring *r, const struct cursor *c) MUST_CHECK;
/* The event with that sequence number, or NULL when it is gone or not there yet. */
struct event *ring_at(const struct ring *r, uint64_t seq);

#endif
