/* SPDX-License-Identifier: PostgreSQL
 * Which tables to watch, whose their rows are and what to tell of them: a guess from the catalog,
 * which the reader of the configuration corrects. Pure. */
#ifndef PGHERALD_INIT_PROPOSAL_H
#define PGHERALD_INIT_PROPOSAL_H

#include "base/buf.h"
#include "init/catalog.h"
#include "init/django.h"

/* A [watch], as its settings will be written. */
struct proposal {
	size_t table;
	char *topic, *owners, *fields;
	const char *why; /* one line for the reader */
	bool follow; /* owners stand in other tables, by ways on which each step back has an index
		      */
	char *no_index; /* or the column that has none: "public.orders_line (order_id)"; NULL */
};

struct proposals {
	struct proposal *items; /* sorted as the catalog */
	size_t n;
	size_t *others; /* tables of the application that are nobody's, or cannot be watched */
	size_t n_others;
};

/* Every table of the application with an owner: by a column of its own that refers to a user; by
 * the table that it belongs to; by members in a table between; by the rows that belong to it. */
void proposals_make(struct proposals *p, const struct catalog *c, const struct django *d);
/* One named table; "" as `owners` for what would be guessed. False with `error` when it cannot be
 * watched. */
bool proposals_add(struct proposals *p, const struct catalog *c, const struct django *d,
		   const char *table, const char *owners, struct buf *error) MUST_CHECK;
/* Takes the item out again. */
void proposals_drop(struct proposals *p, size_t i);
/* Keeps the first ones; the tables of the others go to p->others. How many these are. */
size_t proposals_limit(struct proposals *p, size_t most);
void proposals_free(struct proposals *p);

#endif
