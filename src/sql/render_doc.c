/* SPDX-License-Identifier: PostgreSQL
 * See render_doc.h. */
#include "config.h"
#include "sql/render_doc.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "sql/ident.h"
#include "sql/render.h"

void render_indented(struct buf *out, const char *text, size_t indent)
{
	for (; *text; text++) {
		buf_char(out, *text);
		for (size_t i = 0; *text == '\n' && i < indent; i++)
			buf_char(out, ' ');
	}
}

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

void render_column(struct buf *out, const char *record, const char *column)
{
	buf_str(out, record);
	buf_char(out, '.');
	ident_add(out, column);
}

void render_typed(struct buf *out, const char *row, const char *column, const char *schema,
		  const char *table, const char *key)
{
	buf_str(out, "(jsonb_populate_record(NULL::");
	ident_add_table(out, schema, table);
	buf_str(out, ", jsonb_build_object(");
	ident_add_literal(out, key);
	buf_str(out, ", ");
	render_value(out, row, "->", column);
	buf_str(out, "))).");
	ident_add(out, key);
}

static bool in_leave(const struct watch *w, size_t field)
{
	for (size_t i = 0; i < w->n_leave; i++)
		if (strcmp(w->leave[i], w->fields[field].name) == 0)
			return true;
	return false;
}

/* A sub-select: always an index look-up whatever the first plan of the session was made for, and at
 * most one row even where the key is not unique. */
static void add_label(struct buf *out, const struct watch_field *f, const char *row, bool record)
{
	buf_str(out, "(SELECT t.");
	ident_add(out, f->join_label);
	if (f->cast == CAST_TEXT || (f->cast == CAST_UTC && !record))
		buf_str(out, "::text");
	buf_str(out, "\n FROM ");
	ident_add_table(out, f->join_schema, f->join_table);
	buf_str(out, " AS t\n WHERE t.");
	ident_add(out, f->join_key);
	buf_str(out, " = ");
	if (record)
		render_column(out, row, f->column);
	else
		render_typed(out, row, f->column, f->join_schema, f->join_table, f->join_key);
	buf_str(out, "\n LIMIT 1)");
}

/* As text it is what jsonb makes of it: of a time, for one, another text than a cast does. */
static void add_record_value(struct buf *out, const struct watch_field *f, const char *record)
{
	buf_str(out, f->cast == CAST_TEXT ? "to_jsonb(" : "");
	render_column(out, record, f->column);
	if (f->cast == CAST_TEXT)
		buf_str(out, ") #>> '{}'");
}

static void add_field(struct buf *out, const struct watch_field *f, const char *row, bool record)
{
	if (f->cast == CAST_UTC)
		buf_str(out, "pgherald.utc(");
	if (f->join_table)
		add_label(out, f, row, record);
	else if (record)
		add_record_value(out, f, row);
	else
		render_value(out, row, f->cast == CAST_NONE ? "->" : "->>", f->column);
	if (f->cast == CAST_UTC)
		buf_char(out, ')');
	buf_str(out, " AS ");
	ident_add_quoted(out, f->name);
}

/* SELECT and the fields, each with its name. */
static void add_fields(struct buf *out, const struct watch *w, const char *row, bool record,
		       bool leave)
{
	autobuf fields;
	bool first = true;

	buf_init(&fields, RENDER_MAX);
	for (size_t i = 0; i < w->n_fields; i++) {
		if (leave && !in_leave(w, i))
			continue;
		if (!first)
			buf_str(&fields, ",\n");
		first = false;
		add_field(&fields, &w->fields[i], row, record);
	}
	buf_str(out, "SELECT ");
	render_indented(out, buf_cstr(&fields), strlen("SELECT "));
}

static void add_object(struct buf *out, const struct watch *w, const char *row, bool leave)
{
	autobuf fields;

	buf_init(&fields, RENDER_MAX);
	add_fields(&fields, w, row, false, leave);
	buf_str(out, "(SELECT row_to_json(doc.*) FROM (\n  ");
	render_indented(out, buf_cstr(&fields), 2);
	buf_str(out, ") AS doc)");
}

void render_doc(struct buf *out, const struct watch *w)
{
	add_object(out, w, "it.one", false);
}

void render_leave(struct buf *out, const struct watch *w)
{
	if (w->n_owners)
		add_object(out, w, "it.was", true);
	else
		buf_str(out, "NULL::json");
}

void render_doc_of_this(struct buf *out, const struct watch *w)
{
	add_fields(out, w, "this", true, false);
}
