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

void columns_add(struct columns *c, const char *name);
/* it.one->'id', or with ->> */
void render_value(struct buf *out, const char *row, const char *arrow, const char *column);
/* this.id */
void render_column(struct buf *out, const char *record, const char *column);
/* Appends text whose further lines begin with this many spaces. */
void render_indented(struct buf *out, const char *text, size_t indent);
/* A column of ours in the type of another table's column: jsonb knows no types, the other table's
 * row type does, and an index on it stays usable. */
void render_typed(struct buf *out, const char *row, const char *column, const char *schema,
		  const char *table, const char *key);
/* The expressions of the document and of the leave document. */
void render_doc(struct buf *out, const struct watch *w);
void render_leave(struct buf *out, const struct watch *w);
/* The document of "this", as a SELECT of its fields. */
void render_doc_of_this(struct buf *out, const struct watch *w);

#endif
