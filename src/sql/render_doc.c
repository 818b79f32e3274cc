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

static uint32_t hash_text(uint32_t hash, const char *text)
{
	do
		hash = (hash ^ (unsigned char)*text) * 16777619U;
	while (*text++);
	return hash;
}

/* FNV-1a of all names with their ends, and of the format: 2 has joined names in an array. */
void columns_mark(const struct watch *w, const struct columns *c, struct buf *out)
{
	uint32_t hash = hash_text(2166136261U, "2");

	for (size_t i = 0; i < c->n; i++)
		hash = hash_text(hash, c->names[i]);
	for (size_t i = 0; i < w->n_channels; i++) {
		hash = hash_text(hash, "#");
		for (size_t k = 0; k < w->channels[i].n; k++)
			hash = hash_text(hash, w->channels[i].pieces[k]);
	}
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

static bool in_leave(const struct watch *w, size_t field)
{
	for (size_t i = 0; i < w->n_leave; i++)
		if (strcmp(w->leave[i], w->fields[field].name) == 0)
			return true;
	return false;
}

/* A sub-select: at most one row, even where the key is not unique. */
static void add_label(struct buf *out, const struct watch_field *f, const struct row *row,
		      bool text)
{
	autobuf match = {0};

	buf_str(out, text ? "(SELECT pgherald.as_text(t." : "(SELECT pgherald.as_jsonb(t.");
	ident_add(out, f->join_label);
	buf_str(out, ")\n FROM ");
	ident_add_table(out, f->join_schema, f->join_table);
	buf_str(out, " AS t\n WHERE ");
	buf_init(&match, RENDER_MAX);
	render_match(&match, row, f->column, "t", f->join_key);
	render_indented(out, buf_cstr(&match), strlen(" WHERE "));
	buf_str(out, "\n LIMIT 1)");
}

/* Of a row that is gone the name is the one that it had, if it could be had at that moment: the
 * journal has the names behind the columns. */
static void add_name(struct buf *out, const struct watch *w, const struct watch_field *f,
		     const struct row *row)
{
	bool text = f->cast != CAST_NONE;
	const char *arrow = text ? "->>" : "->";
	size_t place = 0, names;
	autobuf label = {0};

	for (size_t i = 0; &w->fields[i] != f; i++)
		place += w->fields[i].join_table != NULL;
	if (row->names) {
		buf_printf(out, "%s%s%zu", row->names, arrow, place);
		return;
	}
	if (!row->named) {
		add_label(out, f, row, text);
		return;
	}
	buf_init(&label, RENDER_MAX);
	add_label(&label, f, row, text);
	names = render_names_place(row);
	buf_printf(out, "CASE WHEN jsonb_typeof(%s->%zu) = 'array' THEN %s->%zu%s%zu\n     ELSE ",
		   row->name, names, row->name, names, arrow, place);
	render_indented(out, buf_cstr(&label), strlen("     ELSE "));
	buf_str(out, " END");
}

static void add_field(struct buf *out, const struct watch *w, const struct watch_field *f,
		      const struct row *row)
{
	autobuf value = {0};

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
	autobuf fields = {0};
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
	if (w->n_owners || w->n_channels)
		add_object(out, w, row, true);
	else
		buf_str(out, "NULL::json");
}

/* The items of the array, each within `open` and `close`. */
static void add_items(struct buf *out, const struct columns *c, const struct row *row,
		      const char *open, const char *close)
{
	size_t line = 0;

	for (size_t i = 0; i < c->n; i++) {
		render_comma(out, i, &line);
		buf_str(out, open);
		render_column(out, row, c->names[i]);
		buf_str(out, close);
	}
}

/* A function takes 100 arguments at most (FUNC_MAX_ARGS of PostgreSQL); an array has no such limit.
 */
static void add_data(struct buf *out, const struct watch *w, const struct columns *c,
		     const struct row *row, const char *names, const char *as)
{
	bool many = c->n + 2 > 100;
	const char *begin = many ? "array_to_json(ARRAY[to_json('" : "json_build_array('";
	size_t indent = many ? strlen("array_to_json(ARRAY[") : strlen("json_build_array(");
	autofree char *open = xasprintf("%s%s", many ? "to_json(" : "", as);
	autobuf items = {0};

	buf_init(&items, RENDER_MAX);
	add_items(&items, c, row, open, many && *as ? "))" : many || *as ? ")" : "");
	if (names)
		buf_printf(&items, ", %s", names);
	buf_str(out, begin);
	columns_mark(w, c, out);
	buf_str(out, many ? "'::text),\n" : "',\n");
	for (size_t i = 0; i < indent; i++)
		buf_char(out, ' ');
	render_indented(out, buf_cstr(&items), indent);
	buf_str(out, many ? "])" : ")");
}

/* Which of the two, the planner knows; what it costs when the statement is run is the one. */
void render_data(struct buf *out, const struct watch *w, const struct columns *c,
		 const struct row *row, const char *names)
{
	autobuf plain = {0};

	buf_str(out, "CASE WHEN ");
	buf_init(&plain, RENDER_MAX);
	render_plain(&plain, c, row);
	render_indented(out, buf_cstr(&plain), strlen("      "));
	buf_str(out, "\n     THEN ");
	buf_clear(&plain);
	add_data(&plain, w, c, row, names, "");
	render_indented(out, buf_cstr(&plain), strlen("     THEN "));
	buf_str(out, "\n     ELSE ");
	buf_clear(&plain);
	add_data(&plain, w, c, row, names, "pgherald.as_jsonb(");
	render_indented(out, buf_cstr(&plain), strlen("     ELSE "));
	buf_str(out, " END");
}

/* A row as an object of the watched columns; some hundred arguments at a time. */
void render_object(struct buf *out, const struct columns *c, const struct row *row)
{
	for (size_t i = 0; i < c->n; i++) {
		buf_str(out, i % 40 ? ",\n  "
			     : i    ? ")\n|| jsonb_build_object(\n  "
				    : "jsonb_build_object(\n  ");
		ident_add_literal(out, c->names[i]);
		buf_str(out, ", pgherald.as_jsonb(");
		render_column(out, row, c->names[i]);
		buf_char(out, ')');
	}
	buf_char(out, ')');
}

void render_names(struct buf *out, const struct watch *w, const struct row *row)
{
	bool many = false, first = true;
	size_t n = 0;

	for (size_t i = 0; i < w->n_fields; i++)
		n += w->fields[i].join_table != NULL;
	many = n > 100;
	buf_str(out, many ? "array_to_json(ARRAY[" : "json_build_array(");
	for (size_t i = 0; i < w->n_fields; i++) {
		autobuf label = {0};

		if (!w->fields[i].join_table)
			continue;
		buf_init(&label, RENDER_MAX);
		add_label(&label, &w->fields[i], row, w->fields[i].cast == CAST_TEXT);
		buf_str(out, first ? "\n  " : ",\n  ");
		buf_str(out, many ? "to_json(" : "");
		render_indented(out, buf_cstr(&label), many ? 10 : 2);
		buf_str(out, many ? ")" : "");
		first = false;
	}
	buf_str(out, many ? "])" : ")");
}

bool watch_has_names(const struct watch *w)
{
	for (size_t i = 0; i < w->n_fields; i++)
		if (w->fields[i].join_table)
			return true;
	return false;
}
