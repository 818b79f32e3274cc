/* SPDX-License-Identifier: PostgreSQL
 * Reading the journal from a position: what has become visible since, whole transactions in the
 * order of their last row, in pages of bounded size. Used live (journal.c) and for replay. */
#ifndef PGHERALD_PG_FETCH_H
#define PGHERALD_PG_FETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hub/event.h"
#include "pg/conn.h"
#include "wire/cursor.h"

/* What the server says at the moment of the plan, and what there is to deliver. */
struct fetch_plan {
	char epoch[CURSOR_EPOCH_LEN + 1];
	uint64_t loss;	     /* the loss counter now */
	uint64_t floor;	     /* rows of this txid and below may have been pruned */
	struct snapshot now; /* as far as it is certain to outlive a crash: see fetch_begin() */
	uint64_t xmin, xmax; /* of the snapshot as the server gave it */
	uint64_t *order;     /* transactions to deliver, in order; owned */
	uint64_t *rows;	     /* how many journal rows each has; owned */
	size_t n;
	size_t done; /* delivered so far */
	struct cursor_batch batch;
};

/* A position to read from: a cursor, or more exactly than a cursor can say, a snapshot. */
struct fetch_from {
	uint64_t xmax;
	const uint64_t *out, *in;
	size_t n_out, n_in;
	uint64_t txid, id;
};

/* Asks for the plan and the first page; the result goes to fetch_read_plan(). */
void fetch_send_plan(struct conn *c, const struct fetch_from *from, conn_result_fn *done,
		     void *arg);
/* Asks for the next page of transactions; the result goes to fetch_read_rows(). */
void fetch_send_page(struct conn *c, const struct fetch_plan *p, conn_result_fn *done, void *arg);
/* Reads a plan's header; false when the result is no plan (an error, or a journal we cannot
 * read), with `why` set. fetch_plan_free() releases. */
bool fetch_read_plan(struct fetch_plan *p, const PGresult *r, const char **why) MUST_CHECK;
/* Starts handing out cursors: `base` gives epoch, loss and where the reader was. Lowers now.xmax to
 * just above the highest transaction that has been seen in the journal: a txid above it may have
 * been given out and be given out again after a crash, because nothing of it was flushed. What has
 * been seen was committed, hence flushed (with synchronous_commit on). */
void fetch_begin(struct fetch_plan *p, const struct cursor *base, const struct fetch_from *from);
/* Whether rows after the position may have been pruned. */
bool fetch_pruned(const struct fetch_plan *p, const struct fetch_from *from) MUST_CHECK;
/* Makes the page's events, each with its cursor, into a list that the caller frees (and unrefs);
 * moves p->done on. `header` tells whether the result is a plan's, with a header row first. False
 * when rows of the plan are missing: they were pruned in between. */
bool fetch_read_rows(struct fetch_plan *p, const PGresult *r, bool header, struct event ***ret,
		     size_t *ret_n) MUST_CHECK;
void fetch_plan_free(struct fetch_plan *p);

#endif
