/* SPDX-License-Identifier: PostgreSQL
 * Within render: expressions about one row of a watched table: its columns, its key, whose it is.
 * "this" and "past" are rows of transition tables, it.one and it.was what the journal has. */
#ifndef PGHERALD_SQL_RENDER_ROW_H
#define PGHERALD_SQL_RENDER_ROW_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "sql/watch.h"

/* Names, each once; they belong to somebody else, the array is freed by the caller. */
struct columns {
	const char **names;
	size_t n;
};

/* A row with its types (`record`), its columns behind a name or bare; or as jsonb: an object of
 * columns or, with `places`, the array that the journal has: a mark, the columns in this order, and
 * of a row that is gone (`named`: this may be one) an array of the joined names. Or with `keys`
 * only these columns, as a text[]. `names` is an expression that has the joined names as json
 * already, `owners` one that has the owners in other tables. With `text` the name is an expression
 * that has whichever column is asked for, as text. */
struct row {
	const char *name; /* NULL: bare */
	const struct columns *places, *keys;
	bool record, named, text;
	const char *names, *owners;
};

void columns_add(struct columns *c, const char *name);
/* Every column of the watched table that is read: key, fields, owners. */
void columns_of(const struct watch *w, struct columns *c);
/* Those that say whose a row is; those of them that lead to other tables; those that lead to names
 * there. */
void owner_columns_of(const struct watch *w, struct columns *c);
void hop_columns_of(const struct watch *w, struct columns *c);
void name_columns_of(const struct watch *w, struct columns *c);

/* Some column of some table; `spelled`: its values are made text, and not json. */
struct table_column {
	const char *schema, *table, *column;
	bool spelled;
};
typedef void table_column_fn(void *arg, const struct table_column *c);
/* `each` for every column whose values are told as the text that they were recorded as: of the
 * watched table, or of another a name of rows that are gone; some come more than once. (A time with
 * ::utc is read and written anew.) */
void text_columns_of(const struct watch *w, table_column_fn *each, void *arg);
/* The same for those that are told with ::utc. */
void utc_columns_of(const struct watch *w, table_column_fn *each, void *arg);
/* The separator before item i; breaks the line when it is full. */
void render_comma(struct buf *out, size_t i, size_t *line_start);
/* Appends text whose further lines begin with this many spaces. */
void render_indented(struct buf *out, const char *text, size_t indent);
/* A column as it is; of jsonb with -> or ->>; the one spelling of keys and owners. */
void render_column(struct buf *out, const struct row *row, const char *column);
void render_value(struct buf *out, const struct row *row, const char *arrow, const char *column);
void render_text(struct buf *out, const struct row *row, const char *column);
/* The place of the array of names. */
size_t render_names_place(const struct row *row);
/* That the other table `alias` has this column as its `key`. */
void render_match(struct buf *out, const struct row *row, const char *column, const char *alias,
		  const char *key);
/* The key as text, NULL when a column of it is missing. */
void render_key(struct buf *out, const struct watch *w, const struct row *row);
/* text[] of the owners that the row itself names: distinct, sorted, no NULL. */
void render_own(struct buf *out, const struct watch *w, const struct row *row);
/* The same with those that stand in other tables; `own` is the expression of the former, NULL for
 * nobody. */
void render_owners(struct buf *out, const struct watch *w, const struct row *row, const char *own);
/* The condition that all these columns can be read as they are (pgherald.plain() in core.sql). */
void render_plain(struct buf *out, const struct columns *c, const struct row *row);
/* That two rows with types have other values in these columns, were it only in their image. */
void render_differ(struct buf *out, const struct columns *c, const char *a, const char *b);
/* That they spell these alike: 1.0 is not 1.00. */
void render_agree(struct buf *out, const struct columns *c, const char *a, const char *b);

#endif
