/* SPDX-License-Identifier: PostgreSQL
 * See render_doc.h. */
#include "config.h"
#include "sql/render_doc.h"

#include <inttypes.h>
#include <stdint.h>
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

void columns_of(const struct watch *w, struct columns *c)
{
	for (size_t i = 0; i < w->n_key; i++)
		columns_add(c, w->key[i]);
	for (size_t i = 0; i < w->n_fields; i++)
		columns_add(c, w->fields[i].column);
	for (size_t i = 0; i < w->n_owners; i++)
		columns_add(c, w->owners[i].column);
}

void text_columns_of(const struct watch *w, void (*each)(void *arg, const struct text_column *c),
		     void *arg)
{
	for (size_t i = 0; i < w->n_key; i++)
		each(arg, &(struct text_column){w->schema, w->table, w->key[i]});
	for (size_t i = 0; i < w->n_owners; i++)
		each(arg, &(struct text_column){w->schema, w->table, w->owners[i].column});
	for (size_t i = 0; i < w->n_fields; i++) {
		const struct watch_field *f = &w->fields[i];

		if (f->join_table || f->cast != CAST_UTC)
			each(arg, &(struct text_column){w->schema, w->table, f->column});
		if (f->join_table && f->cast != CAST_UTC)
			each(arg,
			     &(struct text_column){f->join_schema, f->join_table, f->join_label});
	}
}

void utc_columns_of(const struct watch *w, void (*each)(void *arg, const struct text_column *c),
		    void *arg)
{
	for (size_t i = 0; i < w->n_fields; i++) {
		const struct watch_field *f = &w->fields[i];

		if (f->cast == CAST_UTC && f->join_table)
			each(arg,
			     &(struct text_column){f->join_schema, f->join_table, f->join_label});
		else if (f->cast == CAST_UTC)
			each(arg, &(struct text_column){w->schema, w->table, f->column});
	}
}

static uint32_t hash_text(uint32_t hash, const char *text)
{
	do
		hash = (hash ^ (unsigned char)*text) * 16777619U;
	while (*text++);
	return hash;
}

/* FNV-1a of all names with their ends. */
void columns_mark(const struct watch *w, const struct columns *c, struct buf *out)
{
	uint32_t hash = 2166136261U;

	for (size_t i = 0; i < c->n; i++)
		hash = hash_text(hash, c->names[i]);
	for (size_t i = 0; i < w->n_fields; i++) {
		const struct watch_field *f = &w->fields[i];

		if (!f->join_table)
			continue;
		hash = hash_text(hash, f->column);
		hash = hash_text(hash, f->join_schema);
		hash = hash_text(hash, f->join_table);
		hash = hash_text(hash, f->join_key);
		hash = hash_text(hash, f->join_label);
	}
	buf_printf(out, "%08" PRIx32, hash);
}

static size_t place_of(const struct columns *c, const char *column)
{
	size_t i = 0;

	while (strcmp(c->names[i], column) != 0)
		i++;
	return i + 1; /* after the mark */
}

void render_value(struct buf *out, const struct row *row, const char *arrow, const char *column)
{
	buf_str(out, row->name);
	buf_str(out, arrow);
	if (row->places)
		buf_u64(out, place_of(row->places, column));
	else
		ident_add_literal(out, column);
}

void render_column(struct buf *out, const char *record, const char *column)
{
	buf_str(out, record);
	buf_char(out, '.');
	ident_add(out, column);
}

void render_comma(struct buf *out, size_t i, size_t *line_start)
{
	if (!i)
		return;
	buf_char(out, ',');
	if (out->len - *line_start > 70) {
		buf_char(out, '\n');
		*line_start = out->len;
	} else {
		buf_char(out, ' ');
	}
}

void render_typed(struct buf *out, const struct row *row, const char *column, const char *schema,
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

/* A sub-select: at most one row, even where the key is not unique. Of a row as jsonb the key is
 * made once, not for each row of a table without an index. */
static void add_label(struct buf *out, const struct watch_field *f, const struct row *row,
		      bool text)
{
	buf_str(out, "(SELECT t.");
	ident_add(out, f->join_label);
	buf_str(out, text ? "::text\n FROM " : "\n FROM ");
	if (!row->record) {
		buf_str(out, "(SELECT ");
		render_typed(out, row, f->column, f->join_schema, f->join_table, f->join_key);
		buf_str(out, " AS key OFFSET 0) AS k,\n      ");
	}
	ident_add_table(out, f->join_schema, f->join_table);
	buf_str(out, " AS t\n WHERE t.");
	ident_add(out, f->join_key);
	buf_str(out, " = ");
	if (row->record)
		render_column(out, row->name, f->column);
	else
		buf_str(out, "k.key");
	buf_str(out, "\n LIMIT 1)");
}

/* Of a row that is gone the name is the one that it had: the journal has it behind the columns. */
static void add_name(struct buf *out, const struct watch *w, const struct watch_field *f,
		     const struct row *row)
{
	bool text = f->cast != CAST_NONE;
	const char *otherwise = text ? "     ELSE " : "     ELSE to_jsonb(";
	size_t place = 0;
	autobuf label;

	if (!row->named) {
		add_label(out, f, row, text);
		return;
	}
	buf_init(&label, RENDER_MAX);
	add_label(&label, f, row, text);
	for (size_t i = 0; &w->fields[i] != f; i++)
		place += w->fields[i].join_table != NULL;
	buf_printf(out, "CASE WHEN j.op = 'd' THEN %s%s%zu\n%s", row->name, text ? "->>" : "->",
		   1 + row->places->n + place, otherwise);
	render_indented(out, buf_cstr(&label), strlen(otherwise));
	buf_str(out, text ? " END" : ") END");
}

static void add_field(struct buf *out, const struct watch *w, const struct watch_field *f,
		      const struct row *row)
{
	autobuf value;

	buf_init(&value, RENDER_MAX);
	if (f->join_table)
		add_name(&value, w, f, row);
	else
		render_value(&value, row, f->cast == CAST_NONE ? "->" : "->>", f->column);
	if (f->cast == CAST_UTC) {
		buf_str(out, "pgherald.utc(");
		render_indented(out, buf_cstr(&value), strlen("pgherald.utc("));
		buf_char(out, ')');
	} else {
		buf_str(out, buf_cstr(&value));
	}
	buf_str(out, " AS ");
	ident_add_quoted(out, f->name);
}

static void add_object(struct buf *out, const struct watch *w, const struct row *row, bool leave)
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
		add_field(&fields, w, &w->fields[i], row);
	}
	buf_str(out, "(SELECT row_to_json(doc.*) FROM (\n  SELECT ");
	render_indented(out, buf_cstr(&fields), strlen("  SELECT "));
	buf_str(out, ") AS doc)");
}

void render_doc(struct buf *out, const struct watch *w, const struct row *row)
{
	add_object(out, w, row, false);
}

void render_leave(struct buf *out, const struct watch *w, const struct row *row)
{
	if (w->n_owners)
		add_object(out, w, row, true);
	else
		buf_str(out, "NULL::json");
}

/* The items of the array, each within `open` and `close`. */
static void add_items(struct buf *out, const struct watch *w, const struct columns *c,
		      const struct row *row, bool names, const char *open, const char *close)
{
	size_t line = 0;

	for (size_t i = 0; i < c->n; i++) {
		render_comma(out, i, &line);
		buf_str(out, open);
		if (row->record)
			render_column(out, row->name, c->names[i]);
		else
			render_value(out, row, "->", c->names[i]);
		buf_str(out, close);
	}
	for (size_t i = 0; names && i < w->n_fields; i++) {
		if (!w->fields[i].join_table)
			continue;
		buf_str(out, ",\n");
		buf_str(out, open);
		add_label(out, &w->fields[i], row, w->fields[i].cast == CAST_TEXT);
		buf_str(out, close);
	}
}

/* A function takes 100 arguments at most (FUNC_MAX_ARGS of PostgreSQL); an array has no such limit.
 */
static void add_data(struct buf *out, const struct watch *w, const struct columns *c,
		     const struct row *row, bool names)
{
	bool many = c->n + (names ? render_names(w) : 0) >= 100;
	const char *begin = many ? "array_to_json(ARRAY[to_json('" : "json_build_array('";
	autobuf items;

	buf_init(&items, RENDER_MAX);
	add_items(&items, w, c, row, names, many ? "to_json(" : "", many ? ")" : "");
	buf_str(out, begin);
	columns_mark(w, c, out);
	buf_str(out, many ? "'::text),\n                    " : "',\n                 ");
	render_indented(out, buf_cstr(&items), many ? 20 : 17);
	buf_str(out, many ? "])" : ")");
}

size_t render_names(const struct watch *w)
{
	size_t n = 0;

	for (size_t i = 0; i < w->n_fields; i++)
		n += w->fields[i].join_table != NULL;
	return n;
}

void render_data(struct buf *out, const struct watch *w, const struct columns *c,
		 const struct row *row)
{
	add_data(out, w, c, row, false);
}

void render_data_gone(struct buf *out, const struct watch *w, const struct columns *c,
		      const struct row *row)
{
	add_data(out, w, c, row, true);
}
