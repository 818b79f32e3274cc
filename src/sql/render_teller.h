/* SPDX-License-Identifier: PostgreSQL
 * Within render: which role reads the tables of a watch, and what it may read there. */
#ifndef PGHERALD_SQL_RENDER_TELLER_H
#define PGHERALD_SQL_RENDER_TELLER_H

#include "base/buf.h"
#include "sql/render.h"
#include "sql/watch.h"

/* The columns that are read to tell of a watch, as GRANTs for pgherald_teller. */
void teller_grants(struct buf *out, const struct watch *w);

/* One piece's functions that read tables. */
struct teller {
	const struct watch *watch;
	const struct render_all *all; /* NULL: there is no other watch */
	const char *table_literal;    /* the table whose triggers call them */
	const char *readers;	      /* their names, a regular expression */
	const char *lookups; /* those of them that are called while the table is written to */
};

/* What stands before they are made, and behind. */
void teller_home(struct buf *out, const struct teller *t);
void teller_away(struct buf *out, const struct teller *t);
/* Roles that nothing needs any more: a part of a DO block. */
void teller_gone(struct buf *out);

#endif
