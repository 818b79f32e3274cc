/* SPDX-License-Identifier: PostgreSQL
 * Between the files of missed: a slice of the journal, as it is asked for and read, and the walk
 * from one to the next. */
#ifndef PGHERALD_PG_MISSED_SLICE_H
#define PGHERALD_PG_MISSED_SLICE_H

#include "pg/missed.h"

/* Of the answer, which has one row. */
enum missed_column {
	COL_EPOCH,
	COL_LOSS,
	COL_FLOOR,
	COL_NOW,
	COL_BACKENDS,
	COL_MORE,
	COL_LAST, /* the highest transaction looked at */
	COL_TXIDS,
	COL_A, /* lists, each with an item for each of txids */
	COL_B,
	COL_C,
	COL_D,
	COL_E, /* only of one's own */
	N_COLUMNS,
};

/* Asks for the next slice. */
void missed_ask(struct missed *m, struct conn *c, conn_result_fn *done, void *arg);
uint64_t missed_number(const PGresult *r, int col);
/* The items of a list parted by spaces: how many, and the next number; 0 behind the last. */
size_t missed_count_items(const char *list);
uint64_t missed_next_number(const char **list);

/* Where the walk ends: no further than what is certain to outlive a crash, as fetch_begin() has
 * it. */
uint64_t missed_certain(const struct missed *m, const struct snapshot *now, uint64_t last);
/* The walk has come up to `xmax`: what was running below it, and what of the slice waits, is left
 * out. */
void missed_move_on(struct missed *m, uint64_t xmax, const struct snapshot *now,
		    const struct missed_tx *waiting, size_t n_waiting);
/* Starts handing the plan out: `xmax` is where it began, with what had been handed out above. */
void missed_begin_plan(struct missed *m, uint64_t xmax, const uint64_t *in, size_t n_in);

/* A slice looked at for one's own. False when it is too much. */
bool missed_take_own(struct missed *m, const PGresult *r, const struct snapshot *now) MUST_CHECK;

#endif
