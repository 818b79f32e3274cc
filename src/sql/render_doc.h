/* SPDX-License-Identifier: PostgreSQL
 * Within render: the document of one watched table, and what the journal keeps to make it of. */
#ifndef PGHERALD_SQL_RENDER_DOC_H
#define PGHERALD_SQL_RENDER_DOC_H

#include "base/buf.h"
#include "sql/render_row.h"
#include "sql/watch.h"

/* What an array of these columns begins with: 8 hexadecimal digits that another list, or other
 * joined names, do not have. */
void columns_mark(const struct watch *w, const struct columns *c, struct buf *out);
/* Whether the document has names from other tables. */
bool watch_has_names(const struct watch *w) MUST_CHECK;
/* The expressions of the document of `row` and, unless nobody owns rows, of what a former owner
 * gets. */
void render_doc(struct buf *out, const struct watch *w, const struct row *row);
void render_leave(struct buf *out, const struct watch *w, const struct row *row);
/* What the journal keeps of a row; `names` is NULL or an expression to go behind the columns. */
void render_data(struct buf *out, const struct watch *w, const struct columns *c,
		 const struct row *row, const char *names);
/* A row with types as a jsonb object of these columns. */
void render_object(struct buf *out, const struct columns *c, const struct row *row);
/* The names of a row, as one json array. */
void render_names(struct buf *out, const struct watch *w, const struct row *row);

#endif
