/* SPDX-License-Identifier: PostgreSQL
 * A reader's position in the journal, and its spelling as an SSE id.
 *
 * A position is a set of transactions: "everything in it has been delivered". It holds every
 * txid below `xmax` but those in `out`, the txids in `in` (all at or above xmax), and of the one
 * transaction `txid` the rows up to `id`. Transactions without journal rows may be in or out.
 *
 * Spelling: EPOCH.LOSS.XMAX.OUT.IN.TXID-ID, numbers in base 36, OUT as distances going down from
 * xmax and IN as distances going up from it, joined by "-"; empty fields at the end are left
 * off. Only [0-9a-z.-] and at most 128 bytes: beyond that, or with other bytes, a cross-origin
 * EventSource needs a CORS preflight to reconnect (Fetch standard, "CORS-unsafe request-header
 * byte"). What does not fit is dropped from the set, never added: a client may then get an
 * event twice, and cannot miss one. */
#ifndef PGHERALD_WIRE_CURSOR_H
#define PGHERALD_WIRE_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"

#define CURSOR_EPOCH_LEN 8
#define CURSOR_TEXT_MAX	 128	   /* bytes, without the NUL */
#define CURSOR_MAX_TXID	 INT64_MAX /* txid is bigint in SQL */
#define CURSOR_LIST_MAX	 56	   /* entries of `out` or `in`: more never fit in 128 bytes */

struct cursor {
	char epoch[CURSOR_EPOCH_LEN + 1]; /* [0-9a-z]: which database and journal it is of */
	uint64_t loss;			  /* the loss counter at that time */
	uint64_t xmax;
	uint16_t n_out, n_in;
	uint64_t out[CURSOR_LIST_MAX]; /* ascending, each < xmax */
	uint64_t in[CURSOR_LIST_MAX];  /* ascending, each >= xmax */
	uint64_t txid, id;	       /* 0, 0 when no transaction is half delivered */
};

/* A spelled cursor; `text` is NUL-terminated. */
struct cursor_text {
	char text[CURSOR_TEXT_MAX + 1];
};

/* Reads `len` bytes a client sent. False for anything cursor_format() could not have written. */
bool cursor_parse(struct cursor *c, const char *text, size_t len) MUST_CHECK;
/* Spells `c`, dropping from the set what does not fit. */
void cursor_format(const struct cursor *c, struct cursor_text *out);
/* Whether row `id` of transaction `txid` is in the position. */
bool cursor_has(const struct cursor *c, uint64_t txid, uint64_t id);
/* The lowest txid that may not be in the position: everything below it is. */
uint64_t cursor_xmin(const struct cursor *c);

/* Whether everything in `b` is in `a`. May say no where it would take long to find out. */
bool cursor_covers(const struct cursor *a, const struct cursor *b);
/* What is in `a` or in `b`, as far as one cursor can say it; epoch and loss are a's. */
void cursor_union(struct cursor *u, const struct cursor *a, const struct cursor *b);
/* `c` with the rest of its half-delivered transaction. */
void cursor_complete(struct cursor *c);

/* What txid_current_snapshot() says, and what is to be delivered up to it. */
struct snapshot {
	uint64_t xmax;
	uint64_t *xip; /* in progress, ascending, each < xmax; owned */
	size_t n_xip;
};

/* Reads "xmin:xmax:xip,xip…"; false when it is none. snapshot_free() releases. */
bool snapshot_parse(struct snapshot *s, const char *text) MUST_CHECK;
void snapshot_free(struct snapshot *s);
/* Counts a transaction below xmax among those in progress, or no longer. */
void snapshot_add(struct snapshot *s, uint64_t txid);
void snapshot_remove(struct snapshot *s, uint64_t txid);

/* Makes the positions inside one batch of transactions that became visible together. */
struct cursor_batch {
	struct cursor base; /* epoch and loss for the cursors made; xmax: where the batch began */
	const struct snapshot *now;
	const uint64_t *order; /* the batch's txids as they will be delivered; not owned */
	size_t n, done;
	uint64_t *left_memory; /* owned; `left` moves up inside it */
	uint64_t *left;	       /* not delivered yet, ascending */
	size_t n_left;
	uint64_t *delivered; /* of this batch and before it, ascending; owned */
	size_t n_delivered;
};

/* `order` and `now` must outlive the batch; `before` are transactions at or above base->xmax that
 * were delivered earlier (base->in is not looked at). cursor_batch_end() releases. */
void cursor_batch_begin(struct cursor_batch *b, const struct cursor *base,
			const struct snapshot *now, const uint64_t *order, size_t n,
			const uint64_t *before, size_t n_before);
void cursor_batch_end(struct cursor_batch *b);
/* The position when the first `done` transactions are delivered whole and, when `id` is not 0,
 * the next one up to row `id`. `done` must not shrink from call to call. */
void cursor_batch_at(struct cursor_batch *b, size_t done, uint64_t id, struct cursor_text *out);
/* The position after the whole batch: everything visible in `now`, and what was delivered above. */
void cursor_batch_after(const struct cursor_batch *b, struct cursor_text *out);

/* Between the files of cursor: */

/* Spells without dropping anything; false when it does not fit. */
bool cursor_spell(const struct cursor *c, struct cursor_text *out) MUST_CHECK;
/* The place of `n` in an ascending list, or where it would be. */
size_t cursor_place(const uint64_t *list, size_t len, uint64_t n);

#endif
