/* SPDX-License-Identifier: PostgreSQL
 * See render_row.h. */
#include "config.h"
#include "sql/render_row.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "sql/ident.h"
#include "sql/render.h"

void columns_add(struct columns *c, const char *name)
{
	for (size_t i = 0; i < c->n; i++)
		if (strcmp(c->names[i], name) == 0)
			return;
	c->names = xrealloc(c->names, c->n + 1, sizeof(*c->names));
	c->names[c->n++] = name;
}

void owner_columns_of(const struct watch *w, struct columns *c)
{
	for (size_t i = 0; i < w->n_owners; i++)
		columns_add(c, w->owners[i].column);
	for (size_t i = 0; i < w->n_channels; i++)
		for (size_t k = 1; k < w->channels[i].n; k += 2)
			columns_add(c, w->channels[i].pieces[k]);
}

void name_columns_of(const struct watch *w, struct columns *c)
{
	for (size_t i = 0; i < w->n_fields; i++)
		if (w->fields[i].join_table)
			columns_add(c, w->fields[i].column);
}

void hop_columns_of(const struct watch *w, struct columns *c)
{
	for (size_t i = 0; i < w->n_owners; i++)
		if (w->owners[i].n_hops)
			columns_add(c, w->owners[i].column);
}

void columns_of(const struct watch *w, struct columns *c)
{
	for (size_t i = 0; i < w->n_key; i++)
		columns_add(c, w->key[i]);
	for (size_t i = 0; i < w->n_fields; i++)
		columns_add(c, w->fields[i].column);
	owner_columns_of(w, c);
}

void text_columns_of(const struct watch *w, table_column_fn *each, void *arg)
{
	for (size_t i = 0; i < w->n_key; i++)
		each(arg, &(struct table_column){w->schema, w->table, w->key[i], true});
	for (size_t i = 0; i < w->n_owners; i++) {
		const struct watch_owner *o = &w->owners[i];
		const struct watch_hop *last = o->n_hops ? &o->hops[o->n_hops - 1] : NULL;

		each(arg, &(struct table_column){w->schema, w->table, o->column, true});
		if (last)
			each(arg,
			     &(struct table_column){last->schema, last->table, last->value, true});
	}
	for (size_t i = 0; i < w->n_channels; i++)
		for (size_t k = 1; k < w->channels[i].n; k += 2)
			each(arg, &(struct table_column){w->schema, w->table,
							 w->channels[i].pieces[k], true});
	for (size_t i = 0; i < w->n_fields; i++) {
		const struct watch_field *f = &w->fields[i];

		if (f->join_table || f->cast != CAST_UTC)
			each(arg, &(struct table_column){w->schema, w->table, f->column, false});
		if (f->join_table && f->cast != CAST_UTC)
			each(arg, &(struct table_column){f->join_schema, f->join_table,
							 f->join_label, false});
	}
}

void utc_columns_of(const struct watch *w, table_column_fn *each, void *arg)
{
	for (size_t i = 0; i < w->n_fields; i++) {
		const struct watch_field *f = &w->fields[i];

		if (f->cast == CAST_UTC && f->join_table)
			each(arg, &(struct table_column){f->join_schema, f->join_table,
							 f->join_label, false});
		else if (f->cast == CAST_UTC)
			each(arg, &(struct table_column){w->schema, w->table, f->column, false});
	}
}

void render_indented(struct buf *out, const char *text, size_t indent)
{
	for (; *text; text++) {
		buf_char(out, *text);
		for (size_t i = 0; *text == '\n' && i < indent; i++)
			buf_char(out, ' ');
	}
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

static size_t place_of(const struct columns *c, const char *column)
{
	size_t i = 0;

	while (strcmp(c->names[i], column) != 0)
		i++;
	return i + 1; /* after the mark; arrays begin with 1 */
}

size_t render_names_place(const struct row *row)
{
	return row->places->n + 1;
}

void render_value(struct buf *out, const struct row *row, const char *arrow, const char *column)
{
	buf_str(out, row->name);
	if (row->text)
		return;
	if (row->keys) {
		buf_char(out, '[');
		buf_u64(out, place_of(row->keys, column));
		buf_char(out, ']');
		return;
	}
	buf_str(out, arrow);
	if (row->places)
		buf_u64(out, place_of(row->places, column));
	else
		ident_add_literal(out, column);
}

void render_column(struct buf *out, const struct row *row, const char *column)
{
	if (!row->record) {
		render_value(out, row, "->", column);
		return;
	}
	if (row->name) {
		buf_str(out, row->name);
		buf_char(out, '.');
	}
	ident_add(out, column);
}

void render_text(struct buf *out, const struct row *row, const char *column)
{
	if (row->record) {
		/* a collation may take two spellings for one; clients do not */
		buf_str(out, "pgherald.as_text(");
		render_column(out, row, column);
		buf_str(out, ") COLLATE \"C\"");
	} else {
		render_value(out, row, "->>", column);
	}
}

static void add_plain(struct buf *out, const struct row *row, const char *column, bool enter)
{
	buf_str(out, "pgherald.plain(CASE WHEN false THEN ");
	render_column(out, row, column);
	buf_str(out, enter ? " END, true)" : " END)");
}

void render_plain(struct buf *out, const struct columns *c, const struct row *row)
{
	for (size_t i = 0; i < c->n; i++) {
		buf_str(out, i ? "\nAND " : "");
		add_plain(out, row, c->names[i], false);
	}
}

/* Where a value of the other's type can be made of text, or both be compared, without anybody's
 * code, an index serves: the planner has dropped the rest before it looks for one. Made in a
 * sub-select: once, and not for each row of a table without an index. */
void render_match(struct buf *out, const struct row *row, const char *column, const char *alias,
		  const char *key)
{
	const struct row target = {.name = alias, .record = true};

	buf_str(out, "CASE WHEN ");
	add_plain(out, &target, key, !row->record);
	if (row->record) {
		buf_str(out, " AND ");
		add_plain(out, row, column, false);
	}
	buf_str(out, "\n     THEN ");
	render_column(out, &target, key);
	buf_str(out, " = ");
	if (row->record) {
		render_column(out, row, column);
	} else {
		buf_str(out, "(SELECT pgherald.typed((");
		render_value(out, row, "->>", column);
		/* which gives way to the collation of the column */
		buf_str(out, ") COLLATE \"default\", CASE WHEN false THEN ");
		render_column(out, &target, key);
		buf_str(out, " END))");
	}
	buf_str(out, "\n     ELSE ");
	render_text(out, &target, key);
	buf_str(out, " = ");
	render_text(out, row, column);
	buf_str(out, " END");
}

/* Values with a comma between them; one in a value that another follows is "~.", so that no two
 * rows have the same. */
void render_key(struct buf *out, const struct watch *w, const struct row *row)
{
	for (size_t i = 0; i < w->n_key; i++) {
		bool last = i + 1 == w->n_key;

		buf_str(out, i ? " || ',' || " : "");
		buf_str(out, !last ? "replace(replace(" : w->n_key > 1 ? "(" : "");
		render_text(out, row, w->key[i]);
		buf_str(out, !last ? ", '~', '~~'), ',', '~.')" : w->n_key > 1 ? ")" : "");
	}
}

/* The key of the channel that a row goes to, NULL for none. */
static void add_channel_key(struct buf *out, const struct watch_channel *c, const struct row *row)
{
	buf_str(out, "pgherald.channel_key(");
	for (size_t i = 0; i < c->n; i++) {
		buf_str(out, i ? " || " : "");
		if (i % 2)
			render_text(out, row, c->pieces[i]);
		else
			ident_add_literal(out, c->pieces[i]);
	}
	buf_char(out, ')');
}

/* text[] of keys: of the owners `c` that the row itself names, and of its channels. */
static void add_keys(struct buf *out, const struct watch *w, const struct columns *c,
		     const struct row *row)
{
	buf_str(out, "ARRAY(SELECT DISTINCT owner FROM (");
	for (size_t i = 0; i < c->n + w->n_channels; i++) {
		buf_str(out, i ? "\n      UNION ALL SELECT " : "SELECT ");
		if (i < c->n) {
			buf_str(out, "pgherald.user_key(");
			render_text(out, row, c->names[i]);
			buf_char(out, ')');
		} else {
			add_channel_key(out, &w->channels[i - c->n], row);
		}
		buf_str(out, i ? "" : " AS owner");
	}
	buf_str(out, ") AS owners\n"
		     "      WHERE owner IS NOT NULL ORDER BY owner)");
}

void render_own(struct buf *out, const struct watch *w, const struct row *row)
{
	struct columns c = {0};

	for (size_t i = 0; i < w->n_owners; i++)
		if (!w->owners[i].n_hops)
			columns_add(&c, w->owners[i].column);
	if (w->n_channels) {
		add_keys(out, w, &c, row);
	} else if (!c.n) {
		buf_str(out, "'{}'::text[]");
	} else if (c.n == 1 && row->record) { /* a function would have to be set up */
		buf_str(out, "CASE WHEN ");
		render_column(out, row, c.names[0]);
		buf_str(out, " IS NULL THEN '{}'\n     ELSE ARRAY[");
		render_text(out, row, c.names[0]);
		buf_str(out, "] END");
	} else if (c.n == 1) {
		buf_str(out, "array_remove(ARRAY[");
		render_text(out, row, c.names[0]);
		buf_str(out, "], NULL)");
	} else {
		buf_str(out, "ARRAY(SELECT DISTINCT owner FROM (");
		for (size_t i = 0; i < c.n; i++) {
			buf_str(out, i ? "\n      UNION ALL SELECT " : "SELECT ");
			render_text(out, row, c.names[i]);
			buf_str(out, i ? "" : " AS owner");
		}
		buf_str(out, ") AS owners\n"
			     "      WHERE owner IS NOT NULL ORDER BY owner)");
	}
	free(c.names);
}

/* The owners that one column leads to, as rows of one text column. */
static void add_hops(struct buf *out, const struct watch_owner *o, const struct row *row,
		     bool keyed)
{
	autobuf match = {0};

	buf_printf(out, "SELECT %spgherald.as_text(h%zu.", keyed ? "pgherald.user_key(" : "",
		   o->n_hops);
	ident_add(out, o->hops[o->n_hops - 1].value);
	buf_str(out, keyed ? ") COLLATE \"C\")\nFROM " : ") COLLATE \"C\"\nFROM ");
	for (size_t i = 0; i < o->n_hops; i++) {
		const struct watch_hop *h = &o->hops[i];
		autofree char *before = xasprintf("h%zu", i), *here = xasprintf("h%zu", i + 1);

		buf_str(out, i ? "\nJOIN " : "");
		ident_add_table(out, h->schema, h->table);
		buf_printf(out, " AS %s", here);
		if (!i)
			continue;
		buf_str(out, " ON ");
		render_match(out, &(struct row){.name = before, .record = true},
			     o->hops[i - 1].value, here, h->key);
	}
	buf_str(out, "\nWHERE ");
	buf_init(&match, RENDER_MAX);
	render_match(&match, row, o->column, "h1", o->hops->key);
	render_indented(out, buf_cstr(&match), strlen("WHERE "));
}

static bool has_own(const struct watch *w)
{
	if (w->n_channels)
		return true;
	for (size_t i = 0; i < w->n_owners; i++)
		if (!w->owners[i].n_hops)
			return true;
	return false;
}

/* One more than a row may have before it says "fetch again": EVENT_OWNERS_MAX in hub/event.h. */
#define TOO_MANY_OWNERS "10001"

void render_owners(struct buf *out, const struct watch *w, const struct row *row, const char *own)
{
	const char *separator = "";

	if (!watch_has_hops(w)) {
		buf_str(out, own);
		return;
	}
	if (row->owners && !has_own(w)) {
		buf_str(out, row->owners);
		return;
	}
	buf_str(out, "ARRAY(SELECT DISTINCT owner FROM (\n  ");
	if (own) {
		buf_str(out, "SELECT unnest(");
		render_indented(out, own, strlen("  SELECT unnest("));
		buf_str(out, ") AS owner");
		separator = "\n  UNION ALL\n  ";
	}
	if (row->owners)
		buf_printf(out, "%sSELECT unnest(%s)", separator, row->owners);
	for (size_t i = 0; !row->owners && i < w->n_owners; i++) {
		autobuf hops = {0};

		if (!w->owners[i].n_hops)
			continue;
		buf_init(&hops, RENDER_MAX);
		add_hops(&hops, &w->owners[i], row, w->n_channels);
		buf_str(out, separator);
		render_indented(out, buf_cstr(&hops), 2);
		separator = "\n  UNION ALL\n  ";
	}
	buf_str(out, ") AS owners (owner)\n"
		     "WHERE owner IS NOT NULL ORDER BY owner LIMIT " TOO_MANY_OWNERS ")");
}

/* "ROW(past.a, past.b)::record" */
static void add_record(struct buf *out, const struct columns *c, const char *name)
{
	size_t line = out->len;

	buf_str(out, "ROW(");
	for (size_t i = 0; i < c->n; i++) {
		render_comma(out, i, &line);
		render_column(out, &(struct row){.name = name, .record = true}, c->names[i]);
	}
	buf_str(out, ")::record");
}

void render_differ(struct buf *out, const struct columns *c, const char *a, const char *b)
{
	add_record(out, c, a);
	buf_str(out, "\n*<> ");
	add_record(out, c, b);
}

void render_agree(struct buf *out, const struct columns *c, const char *a, const char *b)
{
	const struct row past = {.name = a, .record = true}, here = {.name = b, .record = true};

	buf_str(out, "CASE WHEN ");
	for (size_t i = 0; i < c->n; i++) {
		buf_str(out, i ? "\n AND pgherald.spelled_once(CASE WHEN false THEN "
			       : "pgherald.spelled_once(CASE WHEN false THEN ");
		render_column(out, &here, c->names[i]);
		buf_str(out, " END)");
	}
	buf_str(out, "\nTHEN ");
	for (size_t i = 0; i < c->n; i++) {
		buf_str(out, i ? "\n AND " : "");
		render_column(out, &past, c->names[i]);
		buf_str(out, " IS NOT DISTINCT FROM ");
		render_column(out, &here, c->names[i]);
	}
	buf_str(out, "\nELSE ");
	add_record(out, c, a);
	buf_str(out, "\n *= ");
	add_record(out, c, b);
	buf_str(out, " END");
}
