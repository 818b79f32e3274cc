/* SPDX-License-Identifier: PostgreSQL
 * Where the journal's reader is: the snapshot of which everything has been handed on, what has been
 * beyond it, and the same as far as a cursor can say it. Needs no widening: a stream that stays
 * open is told everything once. */
#ifndef PGHERALD_PG_POSITION_H
#define PGHERALD_PG_POSITION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pg/fetch.h"
#include "wire/cursor.h"

struct position {
	struct snapshot seen; /* everything visible in it has been handed on; xip: but these */
	uint64_t *extra;      /* transactions that were, too, before a look was broken off */
	size_t n_extra;
	struct cursor cursor; /* what clients are told; its epoch and loss */
};

/* Asks where to begin: at the daemon's start so far back that the ring is filled, so many events or
 * bytes, and clients of before are served from memory; with `events` negative, after a break, just
 * above what there is. */
void position_ask(struct conn *c, int64_t events, uint64_t bytes, conn_result_fn *done, void *arg);
/* Takes the answer; false with `why` when it is none. */
bool position_begin(struct position *p, const PGresult *r, struct cursor_text *text,
		    const char **why) MUST_CHECK;
/* Takes `now` as the position, but without these transactions: they are yet to be told. Spells it
 * with the epoch and loss that p->cursor has. */
void position_take(struct position *p, struct snapshot *now, const uint64_t *late, size_t n_late,
		   struct cursor_text *text);
/* These have been handed on, though the look that found them does not come to its end. */
void position_keep(struct position *p, const uint64_t *txids, size_t n);
/* These have been told now, of those that were yet to be. Not while there are extra ones. */
void position_fill(struct position *p, const uint64_t *txids, size_t n, struct cursor_text *text);
/* To read on from; points into `p`. */
struct fetch_from position_from(const struct position *p);
/* Everything below this txid has been handed on. */
uint64_t position_xmin(const struct position *p);
void position_free(struct position *p);

#endif
