/* SPDX-License-Identifier: PostgreSQL
 * Reading the journal from a position: what has become visible since, whole transactions in the
 * order of their last row, in pages of bounded size. Used live (journal.c), for what is told aside
 * (aside.c), and for replay. A page that cannot be had becomes a smaller one, down to a transaction
 * that says "fetch again" instead of what it did. */
#ifndef PGHERALD_PG_FETCH_H
#define PGHERALD_PG_FETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hub/event.h"
#include "pg/conn.h"
#include "wire/cursor.h"

/* How much a page may be. One transaction is always a page, whatever it has stored. */
struct fetch_limits {
	uint64_t rows;	 /* it ends with the transaction that reaches so many */
	uint64_t stored; /* bytes that its transactions have in the journal, compressed as they are
			  */
	uint64_t sent;	 /* bytes of documents and owners … */
	uint64_t whole;	 /* … or so many, if its first transaction has them alone */
	uint64_t ms;	 /* after so long the server gives it up */
};

/* A transaction that is not to be told in its place: those that share a topic with it and come
 * later must wait for it, all others need not. */
struct fetch_late {
	uint64_t txid, rows, stored;
	size_t before; /* so many of the plan's order come before it */
	char *topics;  /* of its rows, as wire/array.h has it */
};

/* What the server says at the moment of the plan, and what there is to deliver. */
struct fetch_plan {
	char epoch[CURSOR_EPOCH_LEN + 1];
	uint64_t loss;	     /* the loss counter now */
	uint64_t floor;	     /* rows of this txid and below may have been pruned */
	struct snapshot now; /* as far as it is certain to outlive a crash: see fetch_begin() */
	uint64_t xmin, xmax; /* of the snapshot as the server gave it */
	char *revoked;	     /* users whose rights changed in it, as wire/array.h has it; or NULL */

	uint64_t *
		order; /* transactions to deliver, in order, and behind them the late ones; owned */
	uint64_t *rows;	  /* how many journal rows each has; owned */
	uint64_t *stored; /* and how many bytes; owned */
	size_t n, cap;
	struct fetch_late *late; /* owned */
	size_t n_late;

	size_t done;	  /* delivered so far */
	size_t first;	  /* where the batch began */
	size_t page;	  /* transactions in the page under way */
	size_t max_page;  /* no more than this in the next one; 0 = no such limit */
	const char *bare; /* the next page says "fetch again" for this reason, a literal */
	bool with_rights; /* changes of rights are events of their own, in their place */
	bool cut;	  /* what follows must wait for a late one: ask for a plan anew */
	uint64_t half_txid, half_id; /* of this transaction only what comes after this row */

	/* For one user (missed.c): only these rows, in the order of delivery; NULL = all. */
	const uint64_t *ids;
	size_t ids_done;
	/* Makes the event of the i-th of them. */
	struct event *(*make)(void *arg, size_t i, const struct event_row *row);
	void *arg;
	struct cursor_batch batch;
};

/* A position to read from: a cursor, or more exactly than a cursor can say, a snapshot. */
struct fetch_from {
	uint64_t xmax;
	const uint64_t *out, *in;
	size_t n_out, n_in;
	uint64_t txid, id;
};

/* What a plan leaves out, and what it makes late. */
struct fetch_apart {
	bool possible;	       /* else nothing is late */
	const uint64_t *known; /* late already: not in the plan */
	size_t n_known;
	uint64_t heavy;	    /* this one, 0 = none, and … */
	const char *topics; /* … what has rows of these, as wire/array.h has it; NULL = none … */
	uint64_t stored;    /* … and what has more bytes in the journal */
};

enum fetch_verdict {
	FETCH_ROWS,	/* the events of a page, or of its beginning */
	FETCH_AGAIN,	/* none: ask for a page again, it will be a smaller one */
	FETCH_TOO_MUCH, /* none: the first transaction alone is too much or takes too long */
	FETCH_BAD,	/* none: the first transaction cannot be told, with no limits either */
	FETCH_GONE,	/* none: rows of the plan have been pruned since */
	FETCH_FAILED,	/* none: nothing can be read */
};

/* Asks for the plan, and for the first page with `page`; the result goes to fetch_read_plan(), and
 * then to fetch_read_page(). */
void fetch_send_plan(struct conn *c, const struct fetch_from *from, const struct fetch_limits *l,
		     bool page, const struct fetch_apart *apart, conn_result_fn *done, void *arg);
/* The same where few small rows are expected, with half of the work; `from` is no half transaction.
 * Without a page in it, though there is something to deliver, it has to be a plan. */
void fetch_send_look(struct conn *c, const struct fetch_from *from, uint64_t ms,
		     conn_result_fn *done, void *arg);
/* Asks for the next page of transactions; the result goes to fetch_read_page(). */
void fetch_send_page(struct conn *c, struct fetch_plan *p, const struct fetch_limits *l,
		     conn_result_fn *done, void *arg);
/* Reads a plan: FETCH_ROWS; FETCH_AGAIN when it is the page with it that cannot be had;
 * FETCH_FAILED with `why`. fetch_plan_free() releases. */
enum fetch_verdict fetch_read_plan(struct fetch_plan *p, const PGresult *r,
				   const struct fetch_from *from, const char **why) MUST_CHECK;
/* Starts handing out cursors: `base` gives epoch, loss and where the reader was; what is late
 * already is not delivered. Lowers now.xmax to just above the highest transaction that has been
 * seen in the journal: a txid above it may have been given out and be given out again after a
 * crash, because nothing of it was flushed. What has been seen was committed, hence flushed (with
 * synchronous_commit on). */
void fetch_begin(struct fetch_plan *p, const struct cursor *base, const struct fetch_from *from,
		 const struct fetch_apart *apart);
/* The same for a page of late ones: everything in `seen` but them has been delivered. */
void fetch_begin_late(struct fetch_plan *p, const struct cursor *base, const struct snapshot *seen);
/* Whether rows after the position may have been pruned. */
bool fetch_pruned(const struct fetch_plan *p, const struct fetch_from *from) MUST_CHECK;
/* Makes the page's events, each with its cursor, into a list that the caller frees (and unrefs);
 * moves p->done on. `header` tells whether the result is a plan's, with a header row first. */
enum fetch_verdict fetch_read_page(struct fetch_plan *p, const PGresult *r, bool header,
				   struct event ***ret, size_t *ret_n) MUST_CHECK;
/* The next page is only its first transaction, and "fetch again". */
void fetch_tell_bare(struct fetch_plan *p, const char *reason);
/* The topic that took too long, where an error tells; or NULL. */
const char *fetch_slow_topic(const PGresult *r);
/* A message: `leave` has its type as a JSON string. One that is not spelled as they are is
 * nobody's.
 */
struct event *fetch_message(const struct event_row *row);
/* A row with the columns below, without a position; the caller's reference. */
struct event *fetch_event(const PGresult *r, int row);
/* One more transaction at the end. */
void fetch_plan_add(struct fetch_plan *p, uint64_t txid, uint64_t rows, uint64_t stored);
void fetch_plan_free(struct fetch_plan *p);

/* Between the files of fetch: the columns of a result. */
enum fetch_column {
	FETCH_PLACE, /* of the transaction; 0 = the header row, FETCH_LATE_PLACE = a late one */
	FETCH_TXID,
	FETCH_ID,
	FETCH_AT,
	FETCH_TOPIC,
	FETCH_OP, /* NULL: the page was full before this row */
	FETCH_DOC,
	FETCH_LEAVE,
	FETCH_BEFORE,
	FETCH_AFTER,
	FETCH_N_COLUMNS,
};
#define FETCH_LATE_PLACE 9223372036854775807

/* How many transactions the next page has. */
size_t fetch_page_size(const struct fetch_plan *p, const struct fetch_limits *l);

#endif
