/* SPDX-License-Identifier: PostgreSQL
 * What one client has missed: the journal is walked through from its position in slices of bounded
 * size, whatever there is. Who hears everything is handed each slice as it comes. For who hears his
 * own the walk only finds his rows: they are few, and only at the end is it known which of them
 * have left him (names are those of the moment of telling: of those rows they are not for him). */
#ifndef PGHERALD_PG_MISSED_H
#define PGHERALD_PG_MISSED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf.h"
#include "hub/event.h"
#include "pg/conn.h"
#include "pg/fetch.h"
#include "wire/cursor.h"

#define MISSED_SLICE_ROWS 10000 /* of the journal, looked at by one statement: some 10 ms */
#define MISSED_OWN_MAX	  10000 /* rows of one's own; beyond, fetching again is quicker */

/* A transaction of a slice. */
struct missed_tx {
	uint64_t txid, min_id, max_id, rows, stored;
};

/* A row of one's own. */
struct missed_row {
	uint64_t txid, id;
	uint64_t topic, key; /* keyed hashes: of the topic, of topic and primary key */
	uint64_t stored;     /* bytes */
	char kind;	     /* r refetch, a rights, h: it is his after it, l: it is not */
	bool nameless;	     /* set by missed_mark() */
};

struct missed_ids {
	uint64_t *list;
	size_t n;
};

struct missed {
	struct conf *conf;    /* a reference: which fields are names */
	struct cursor base;   /* the client's epoch and loss; xmax: where the batch began */
	char *user, *session; /* NULL for who hears everything */
	char *keys;    /* of him, as an array of PostgreSQL's: what is for one of them is for him */
	uint64_t seed; /* of the hashes */

	/* How far the walk has come: all below xmax but those in `out`, and those in `in`. */
	uint64_t xmax;
	struct missed_ids out, in;
	uint64_t half_txid, half_id; /* and of this one the rows up to half_id; 0, 0 without */
	bool half_open;		     /* the rest of it has not been found yet */
	bool ended;
	uint64_t slice_rows;

	struct missed_row *found; /* by who hears his own, until the walk has ended */
	size_t n_found;

	struct fetch_plan plan; /* what is being handed out */
	uint64_t *ids;		/* of all its rows, by who hears his own; else NULL */
	bool *nameless;		/* of each of them */
};

enum missed_step {
	MISSED_AGAIN,  /* nothing to hand out yet: send the next statement */
	MISSED_EVENTS, /* these, and there are more */
	MISSED_LAST,   /* these, then `after` is the position reached */
	MISSED_RESET,  /* the position cannot be resumed: `why` is the reason for clients */
	MISSED_FAILED, /* `why` is for the log */
};

/* Everything from `from` on; or, with a user, what concerns him, one of his channels or his session
 * (both may be NULL). */
void missed_begin(struct missed *m, struct conf *conf, const struct cursor *from, const char *user,
		  const struct keys *channels, const char *session);
void missed_end(struct missed *m);
/* Sends the next statement; its result goes to missed_read(). */
void missed_send(struct missed *m, struct conn *c, const struct fetch_limits *limits,
		 conn_result_fn *done, void *arg);
/* With MISSED_EVENTS and MISSED_LAST the list is the caller's to unref and free. */
enum missed_step missed_read(struct missed *m, const PGresult *r, struct event ***ret,
			     size_t *ret_n, struct cursor *after, const char **why);

/* Between the files of missed: */

/* Sorts a slice's transactions, which are in the order of their ids, so that those which may be
 * handed out now come first, in order; returns how many. The others, and all from *ret_cut on, have
 * to wait: a transaction that had begun earlier may have gone on after a later one had ended, and
 * a row's changes must come in order. SIZE_MAX when the slice is too small to tell. `first` goes
 * before all others. `more`: the journal goes on behind the slice. `backends`: at most so many
 * transactions were ever open at a time. */
size_t missed_cut(struct missed_tx *tx, size_t n, uint64_t from, uint64_t first, bool more,
		  size_t backends, uint64_t *ret_cut);
/* Of one's own rows, sorted by id, those of a row that is not his at the end, or of which that is
 * not known since its topic is to be fetched again, are told without names. */
void missed_mark(struct missed_row *rows, size_t n);
/* Appends a document of that topic with null for every name of another table, and without what the
 * configuration does not know. Nothing for NULL. */
void missed_strip(const struct conf *conf, const char *topic, const char *doc, struct buf *out);

#endif
