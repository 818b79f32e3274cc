/* SPDX-License-Identifier: PostgreSQL
 * Within render: the document of one watched table, and what its owners need of the same. it.was
 * and it.now are the row before and after as jsonb (NULL without), it.one is whichever there is;
 * "this" is a row of a transition table, whose columns have their types. */
#ifndef PGHERALD_SQL_RENDER_DOC_H
#define PGHERALD_SQL_RENDER_DOC_H

#include <stddef.h>

#include "base/buf.h"
#include "sql/watch.h"

/* Names, each once; they belong to somebody else, the array is freed by the caller. */
struct columns {
	const char **names;
	size_t n;
};

/* A row: of a transition table, with its types (`record`); or as jsonb, which is an object of
 * columns or, with `places`, the array that the journal has: a mark, the columns in this order, and
 * of a row that is gone (`named`: this may be one) the joined names. */
struct row {
	const char *name;
	const struct columns *places;
	bool record, named;
};

void columns_add(struct columns *c, const char *name);
/* Every column of the watched table that is read: key, fields, owners. */
void columns_of(const struct watch *w, struct columns *c);
/* A column whose values are told as the text that they were recorded as: of the watched table, or
 * of another a name of rows that are gone. (A time with ::utc is read and written anew.) */
struct text_column {
	const char *schema, *table, *column;
};
/* `each` for every one of them; some come more than once. */
void text_columns_of(const struct watch *w, void (*each)(void *arg, const struct text_column *c),
		     void *arg);
/* The same for those that are told with ::utc. */
void utc_columns_of(const struct watch *w, void (*each)(void *arg, const struct text_column *c),
		    void *arg);
/* What an array of these columns and the joined names begins with: 8 hexadecimal digits that
 * another list does not have. */
void columns_mark(const struct watch *w, const struct columns *c, struct buf *out);
/* How many fields are joined names. */
size_t render_names(const struct watch *w);
/* it.one->'id', or with ->> */
void render_value(struct buf *out, const struct row *row, const char *arrow, const char *column);
/* this.id */
void render_column(struct buf *out, const char *record, const char *column);
/* The separator before item i; breaks the line when it is full. */
void render_comma(struct buf *out, size_t i, size_t *line_start);
/* Appends text whose further lines begin with this many spaces. */
void render_indented(struct buf *out, const char *text, size_t indent);
/* A column of ours in the type of another table's column: jsonb knows no types, the other table's
 * row type does, and an index on it stays usable. */
void render_typed(struct buf *out, const struct row *row, const char *column, const char *schema,
		  const char *table, const char *key);
/* The expressions of the document of `row` and, unless nobody owns rows, of what a former owner
 * gets. */
void render_doc(struct buf *out, const struct watch *w, const struct row *row);
void render_leave(struct buf *out, const struct watch *w, const struct row *row);
/* What the journal keeps of a row, and of one that is gone. */
void render_data(struct buf *out, const struct watch *w, const struct columns *c,
		 const struct row *row);
void render_data_gone(struct buf *out, const struct watch *w, const struct columns *c,
		      const struct row *row);

#endif
