/* SPDX-License-Identifier: PostgreSQL
 * The tables on the way to the owners of a watch with follow = yes: each has triggers of its own,
 * in a piece of its own. */
#ifndef PGHERALD_SQL_RENDER_WAY_H
#define PGHERALD_SQL_RENDER_WAY_H

#include <stddef.h>

#include "base/buf.h"
#include "sql/render_row.h"
#include "sql/watch.h"

struct render_all;

/* One of these tables: a hop of an owner. */
struct way {
	const struct watch *watch;
	const struct watch_owner *owner;
	const struct watch_hop *hop;
	size_t place; /* of the hop, from 0 */
	size_t n;     /* of the way, from 1: its functions and triggers have this number */
};

/* `each` for every table on the way to the owners. */
void ways_of(const struct watch *w, void (*each)(void *arg, const struct way *way), void *arg);
/* Trigger function and triggers, and the same out again. */
void render_way(struct buf *out, const struct way *way, const struct render_all *all);
void render_unway(struct buf *out, const struct way *way);

/* What settle_TOPIC says of the rows that these functions record; of a watch without follow,
 * nothing. What a v row begins with: 8 hexadecimal digits that other ways do not have. */
void ways_mark(struct buf *out, const struct watch *w);
/* One subquery of a WITH for each step, from `step` (n, key, value, mine, other) and what stands in
 * the tables; steps from the row itself have -n and no key, and with `whole` a walk begins with
 * these alone. And the statement, without its end, that has the owners at the ends to which steps
 * of both kinds lead. */
void render_walks(struct buf *walks, struct buf *ends, const struct watch *w, bool whole);
/* What others have changed of the ways at the same time: subqueries of a WITH. */
void render_beside(struct buf *out, const struct watch *w, const struct columns *c);
/* The joins that say who has lost and won one row of the watched table, `o`, and what becomes of a
 * v row, `told`; `c` are the columns of the watched table that are read. */
void render_lost_and_won(struct buf *out, const struct watch *w, const struct columns *c);
void render_of_way(struct buf *out, const struct watch *w, const struct columns *c);

#endif
