/* SPDX-License-Identifier: PostgreSQL
 * See render_doc.h. */
#include "config.h"
#include "sql/render_doc.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "sql/ident.h"

void columns_add(struct columns *c, const char *name)
{
	for (size_t i = 0; i < c->n; i++)
		if (strcmp(c->names[i], name) == 0)
			return;
	c->names = xrealloc(c->names, c->n + 1, sizeof(*c->names));
	c->names[c->n++] = name;
}

void render_value(struct buf *out, const char *row, const char *arrow, const char *column)
{
	buf_str(out, row);
	buf_str(out, arrow);
	ident_add_literal(out, column);
}

void render_typed(struct buf *out, const char *row, const char *column, const char *schema,
		  const char *table, const char *key)
{
	buf_str(out, "(jsonb_populate_record(NULL::");
	ident_add_table(out, schema, table);
	buf_str(out, ",\njsonb_build_object(");
	ident_add_literal(out, key);
	buf_str(out, ", ");
	render_value(out, row, "->", column);
	buf_str(out, "))).");
	ident_add(out, key);
}

static bool same_join(const struct watch_field *a, const struct watch_field *b)
{
	return a->join_table && strcmp(a->column, b->column) == 0 &&
	       strcmp(a->join_schema, b->join_schema) == 0 &&
	       strcmp(a->join_table, b->join_table) == 0 && strcmp(a->join_key, b->join_key) == 0;
}

/* The field whose join this one shares: the first with the same table, column and key. */
static size_t join_of(const struct watch *w, size_t field)
{
	for (size_t i = 0; i < field; i++)
		if (same_join(&w->fields[i], &w->fields[field]))
			return i;
	return field;
}

/* Aliases count joins from 1: "j2", or "l2" for the old row of a leave document. */
static void add_alias(struct buf *out, const struct watch *w, size_t join, char prefix)
{
	size_t place = 1;

	for (size_t i = 0; i < join; i++)
		place += w->fields[i].join_table && join_of(w, i) == i;
	buf_printf(out, "%c%zu", prefix, place);
}

static bool in_leave(const struct watch *w, size_t field)
{
	for (size_t i = 0; i < w->n_leave; i++)
		if (strcmp(w->leave[i], w->fields[field].name) == 0)
			return true;
	return false;
}

/* A sub-select instead of a plain join: always an index look-up per row whatever the first plan
 * of the session was made for, and at most one row even where the key is not unique. */
static void add_join(struct buf *out, const struct watch *w, size_t join, const char *row,
		     char prefix)
{
	const struct watch_field *first = &w->fields[join];
	struct columns labels = {0};

	for (size_t i = join; i < w->n_fields; i++)
		if (w->fields[i].join_table && join_of(w, i) == join &&
		    (prefix == 'j' || in_leave(w, i)))
			columns_add(&labels, w->fields[i].join_label);
	if (!labels.n)
		return;
	if (out->len)
		buf_char(out, '\n');
	buf_str(out, "LEFT JOIN LATERAL (\n  SELECT ");
	for (size_t i = 0; i < labels.n; i++) {
		buf_str(out, i ? ", t." : "t.");
		ident_add(out, labels.names[i]);
	}
	free(labels.names);
	buf_str(out, "\n  FROM ");
	ident_add_table(out, first->join_schema, first->join_table);
	buf_str(out, " AS t\n  WHERE t.");
	ident_add(out, first->join_key);
	buf_str(out, " = ");
	render_typed(out, row, first->column, first->join_schema, first->join_table,
		     first->join_key);
	buf_str(out, "\n  LIMIT 1) AS ");
	add_alias(out, w, join, prefix);
	buf_str(out, " ON true");
}

void render_joins(struct buf *out, const struct watch *w)
{
	for (size_t i = 0; i < w->n_fields; i++)
		if (w->fields[i].join_table && join_of(w, i) == i)
			add_join(out, w, i, "k.r", 'j');
	for (size_t i = 0; w->n_owners && i < w->n_fields; i++)
		if (w->fields[i].join_table && join_of(w, i) == i)
			add_join(out, w, i, "o.r", 'l');
}

static void add_field(struct buf *out, const struct watch *w, size_t field, const char *row,
		      char prefix)
{
	const struct watch_field *f = &w->fields[field];

	if (f->cast == CAST_UTC)
		buf_str(out, "pgherald.utc(");
	if (f->join_table) {
		add_alias(out, w, join_of(w, field), prefix);
		buf_char(out, '.');
		ident_add(out, f->join_label);
		if (f->cast != CAST_NONE)
			buf_str(out, "::text");
	} else {
		render_value(out, row, f->cast == CAST_NONE ? "->" : "->>", f->column);
	}
	if (f->cast == CAST_UTC)
		buf_char(out, ')');
	buf_str(out, " AS ");
	ident_add_quoted(out, f->name);
}

void render_fields(struct buf *out, const struct watch *w)
{
	for (size_t i = 0; i < w->n_fields; i++) {
		if (i)
			buf_str(out, ",\n");
		add_field(out, w, i, "k.r", 'j');
	}
}

void render_leave(struct buf *out, const struct watch *w)
{
	bool first = true;

	if (!w->n_owners) {
		buf_str(out, "NULL");
		return;
	}
	buf_str(out,
		"CASE WHEN o.r IS NOT NULL AND n.r IS NOT NULL AND owned.before <> owned.after\n"
		"     THEN (SELECT row_to_json(former) FROM (\n"
		"       SELECT ");
	for (size_t i = 0; i < w->n_fields; i++) {
		if (!in_leave(w, i))
			continue;
		if (!first)
			buf_str(out, ",\n              ");
		first = false;
		add_field(out, w, i, "o.r", 'l');
	}
	buf_str(out, ") AS former) END");
}
