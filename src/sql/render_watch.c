/* SPDX-License-Identifier: PostgreSQL
 * See render.h: the pieces of one watched table. In the function's big statement o.r and n.r are
 * the row before and after as jsonb (NULL without), k.r is whichever there is. */
#include "config.h"
#include "sql/render.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "sql/ident.h"
#include "sql/template.h"
#include "sql/text.h"

enum part {
	PART_TABLE,
	PART_TABLE_LITERAL,
	PART_TABLE_COMMENT,
	PART_COLUMNS,
	PART_KEY_ARRAY,
	PART_GRANTS,
	PART_PK,
	PART_SAME_KEY,
	PART_WATCHED,
	PART_OWN_OLD,
	PART_OWN_NEW,
	PART_JOINS,
	PART_FIELDS,
	PART_LEAVE,
	PART_STAMP,
	N_PARTS,
};

static const char *const part_names[N_PARTS] = {
	"table",  "table_literal", "table_comment", "columns", "key_array", "grants",
	"pk",	  "same_key",	   "watched_array", "own_old", "own_new",   "joins",
	"fields", "leave",	   "stamp",
};

/* Every column of the watched table that is read, each once: key, fields, owners. */
struct columns {
	const char **names;
	size_t n;
};

static void columns_add(struct columns *c, const char *name)
{
	for (size_t i = 0; i < c->n; i++)
		if (strcmp(c->names[i], name) == 0)
			return;
	c->names = xrealloc(c->names, c->n + 1, sizeof(*c->names));
	c->names[c->n++] = name;
}

static void columns_of(const struct watch *w, struct columns *c)
{
	for (size_t i = 0; i < w->n_key; i++)
		columns_add(c, w->key[i]);
	for (size_t i = 0; i < w->n_fields; i++)
		columns_add(c, w->fields[i].column);
	for (size_t i = 0; i < w->n_owners; i++)
		columns_add(c, w->owners[i].column);
}

/* Breaks the line when it is full; pieces are never cut. */
static void add_item(struct buf *out, size_t i, size_t *line_start)
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

static void add_array(struct buf *out, const char *const *names, size_t n)
{
	size_t line = out->len;

	buf_str(out, "ARRAY[");
	for (size_t i = 0; i < n; i++) {
		add_item(out, i, &line);
		ident_add_literal(out, names[i]);
	}
	buf_char(out, ']');
}

/* k.r->'id', or with ->> */
static void add_value(struct buf *out, const char *row, const char *arrow, const char *column)
{
	buf_str(out, row);
	buf_str(out, arrow);
	ident_add_literal(out, column);
}

/* A column of ours in the type of another table's column: jsonb knows no types, the other table's
 * row type does, and an index on it stays usable. */
static void add_typed(struct buf *out, const char *row, const char *column, const char *schema,
		      const char *table, const char *key)
{
	buf_str(out, "(jsonb_populate_record(NULL::");
	ident_add_table(out, schema, table);
	buf_str(out, ",\njsonb_build_object(");
	ident_add_literal(out, key);
	buf_str(out, ", ");
	add_value(out, row, "->", column);
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
	add_typed(out, row, first->column, first->join_schema, first->join_table, first->join_key);
	buf_str(out, "\n  LIMIT 1) AS ");
	add_alias(out, w, join, prefix);
	buf_str(out, " ON true");
}

static void add_joins(struct buf *out, const struct watch *w)
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
		add_value(out, row, f->cast == CAST_NONE ? "->" : "->>", f->column);
	}
	if (f->cast == CAST_UTC)
		buf_char(out, ')');
	buf_str(out, " AS ");
	ident_add_quoted(out, f->name);
}

static void add_fields(struct buf *out, const struct watch *w)
{
	for (size_t i = 0; i < w->n_fields; i++) {
		if (i)
			buf_str(out, ",\n");
		add_field(out, w, i, "k.r", 'j');
	}
}

static void add_leave(struct buf *out, const struct watch *w)
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

/* One owner column as rows of one text column "owner". */
static void add_owner_rows(struct buf *out, const struct watch_owner *o, const char *row)
{
	if (!o->join_table) {
		buf_str(out, "SELECT ");
		add_value(out, row, "->>", o->column);
		buf_str(out, " AS owner");
		return;
	}
	buf_str(out, "SELECT t.");
	ident_add(out, o->join_owner);
	buf_str(out, "::text AS owner FROM ");
	ident_add_table(out, o->join_schema, o->join_table);
	buf_str(out, " AS t\nWHERE t.");
	ident_add(out, o->join_fk);
	buf_str(out, " = ");
	add_typed(out, row, o->column, o->join_schema, o->join_table, o->join_fk);
}

/* The owners of one row: distinct, sorted, no NULL. */
static void add_owners(struct buf *out, const struct watch *w, const char *row)
{
	if (!w->n_owners) {
		buf_str(out, "'{}'::text[]");
		return;
	}
	if (w->n_owners == 1 && !w->owners[0].join_table) {
		buf_str(out, "array_remove(ARRAY[");
		add_value(out, row, "->>", w->owners[0].column);
		buf_str(out, "], NULL)");
		return;
	}
	buf_str(out, "ARRAY(SELECT DISTINCT owner FROM (\n");
	for (size_t i = 0; i < w->n_owners; i++) {
		buf_str(out, i ? "\nUNION ALL\n" : "");
		add_owner_rows(out, &w->owners[i], row);
	}
	buf_str(out, ") AS owners\nWHERE owner IS NOT NULL ORDER BY owner)");
}

static void add_pk(struct buf *out, const struct watch *w)
{
	for (size_t i = 0; i < w->n_key; i++) {
		buf_str(out, i ? " || ',' || " : "");
		buf_str(out, w->n_key > 1 ? "(" : "");
		add_value(out, "k.r", "->>", w->key[i]);
		buf_str(out, w->n_key > 1 ? ")" : "");
	}
}

static void add_same_key(struct buf *out, const struct watch *w)
{
	for (size_t i = 0; i < w->n_key; i++) {
		buf_str(out, i ? " AND " : "");
		add_value(out, "n.r", "->", w->key[i]);
		buf_str(out, " = ");
		add_value(out, "o.r", "->", w->key[i]);
	}
}

static void add_grants(struct buf *out, const struct watch *w)
{
	struct render_grants *g = render_grants_new();

	for (size_t i = 0; i < w->n_fields; i++) {
		const struct watch_field *f = &w->fields[i];

		if (!f->join_table)
			continue;
		render_grants_add(g, f->join_schema, f->join_table, f->join_key);
		render_grants_add(g, f->join_schema, f->join_table, f->join_label);
	}
	for (size_t i = 0; i < w->n_owners; i++) {
		const struct watch_owner *o = &w->owners[i];

		if (!o->join_table)
			continue;
		render_grants_add(g, o->join_schema, o->join_table, o->join_fk);
		render_grants_add(g, o->join_schema, o->join_table, o->join_owner);
	}
	render_grants_finish(g, out);
}

static void fill_parts(struct buf *parts, const struct watch *w)
{
	struct columns columns = {0};
	size_t line = 0;

	columns_of(w, &columns);
	ident_add_table(&parts[PART_TABLE], w->schema, w->table);
	ident_add_literal(&parts[PART_TABLE_LITERAL], buf_cstr(&parts[PART_TABLE]));
	render_comment(&parts[PART_TABLE_COMMENT], buf_cstr(&parts[PART_TABLE]));
	for (size_t i = 0; i < columns.n; i++) {
		add_item(&parts[PART_COLUMNS], i, &line);
		ident_add(&parts[PART_COLUMNS], columns.names[i]);
	}
	add_array(&parts[PART_KEY_ARRAY], (const char *const *)w->key, w->n_key);
	add_array(&parts[PART_WATCHED], columns.names, columns.n);
	add_grants(&parts[PART_GRANTS], w);
	add_pk(&parts[PART_PK], w);
	add_same_key(&parts[PART_SAME_KEY], w);
	add_owners(&parts[PART_OWN_OLD], w, "o.r");
	add_owners(&parts[PART_OWN_NEW], w, "n.r");
	add_joins(&parts[PART_JOINS], w);
	add_fields(&parts[PART_FIELDS], w);
	add_leave(&parts[PART_LEAVE], w);
	free(columns.names);
}

static void render(struct buf *out, const char *text, const struct watch *w)
{
	struct buf parts[N_PARTS];
	struct slot slots[N_PARTS + 3];
	autofree char *function = xasprintf("'on_%s'", w->topic);

	for (size_t i = 0; i < N_PARTS; i++)
		buf_init(&parts[i], RENDER_MAX);
	fill_parts(parts, w);
	render_stamp(&parts[PART_STAMP], function);
	for (size_t i = 0; i < N_PARTS; i++)
		slots[i] = (struct slot){part_names[i], buf_cstr(&parts[i])};
	slots[N_PARTS] = (struct slot){"topic", w->topic};
	slots[N_PARTS + 1] = (struct slot){"version", PACKAGE_VERSION};
	slots[N_PARTS + 2] = (struct slot){NULL, NULL};
	template_fill(out, text, slots);
	for (size_t i = 0; i < N_PARTS; i++)
		buf_free(&parts[i]);
}

void render_watch(struct buf *out, const struct watch *w)
{
	render(out, sql_watch, w);
}

void render_unwatch(struct buf *out, const struct watch *w)
{
	render(out, sql_unwatch, w);
}
