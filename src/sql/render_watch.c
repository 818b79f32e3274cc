/* SPDX-License-Identifier: PostgreSQL
 * See render.h: the pieces of one watched table. "it" is on_inline's block and a sub-select in
 * on_journal and tell: it.was and it.now are a row before and after as jsonb (NULL without), it.one
 * is whichever there is. In the journal's quick way "past" and "this" are rows of the transition
 * tables, with their types. */
#include "config.h"
#include "sql/render.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "sql/ident.h"
#include "sql/render_doc.h"
#include "sql/template.h"
#include "sql/text.h"

enum part {
	PART_TABLE,
	PART_TABLE_LITERAL,
	PART_SCHEMA_LITERAL,
	PART_NAME_LITERAL,
	PART_TABLE_COMMENT,
	PART_COLUMNS,
	PART_KEY_ARRAY,
	PART_TEXT_COLUMNS,
	PART_UTC_COLUMNS,
	PART_GRANTS,
	PART_PK,
	PART_SAME_KEY,
	PART_KEY_CHANGED,
	PART_KEY_MISSING,
	PART_DIFFERS,
	PART_OWN_OLD,
	PART_OWN_NEW,
	PART_DOC,
	PART_THIS_PK,
	PART_THIS_DIFFERS,
	PART_THIS_STAYS,
	PART_THIS_OWNERS,
	PART_THIS_DATA,
	PART_THIS_DATA_GONE,
	PART_DATA,
	PART_PAST,
	PART_MARK,
	PART_LEAVE,
	PART_RESCOPE,
	PART_STAMP,
	N_PARTS,
};

static const char *const part_names[N_PARTS] = {
	[PART_TABLE] = "table",
	[PART_TABLE_LITERAL] = "table_literal",
	[PART_SCHEMA_LITERAL] = "schema_literal",
	[PART_NAME_LITERAL] = "name_literal",
	[PART_TABLE_COMMENT] = "table_comment",
	[PART_COLUMNS] = "columns",
	[PART_KEY_ARRAY] = "key_array",
	[PART_TEXT_COLUMNS] = "text_columns",
	[PART_UTC_COLUMNS] = "utc_columns",
	[PART_GRANTS] = "grants",
	[PART_PK] = "pk",
	[PART_SAME_KEY] = "same_key",
	[PART_KEY_CHANGED] = "key_changed",
	[PART_KEY_MISSING] = "key_missing",
	[PART_DIFFERS] = "differs",
	[PART_OWN_OLD] = "own_old",
	[PART_OWN_NEW] = "own_new",
	[PART_DOC] = "doc",
	[PART_THIS_PK] = "this_pk",
	[PART_THIS_DIFFERS] = "this_differs",
	[PART_THIS_STAYS] = "this_stays",
	[PART_THIS_OWNERS] = "this_owners",
	[PART_THIS_DATA] = "this_data",
	[PART_THIS_DATA_GONE] = "this_data_gone",
	[PART_DATA] = "data",
	[PART_PAST] = "past",
	[PART_MARK] = "mark",
	[PART_LEAVE] = "leave",
	[PART_RESCOPE] = "rescope",
	[PART_STAMP] = "stamp",
};

static void add_array(struct buf *out, const char *const *names, size_t n)
{
	size_t line = out->len;

	buf_str(out, "ARRAY[");
	for (size_t i = 0; i < n; i++) {
		render_comma(out, i, &line);
		ident_add_literal(out, names[i]);
	}
	buf_char(out, ']');
}

/* A column as text, of a row as jsonb or as a record. */
static void add_text(struct buf *out, const struct row *row, const char *column)
{
	if (row->record) {
		render_column(out, row->name, column);
		buf_str(out, "::text");
	} else {
		render_value(out, row, "->>", column);
	}
}

/* One owner column as rows of one text column "owner". */
static void add_owner_rows(struct buf *out, const struct watch_owner *o, const struct row *row)
{
	if (!o->join_table) {
		buf_str(out, "SELECT ");
		add_text(out, row, o->column);
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
	if (row->record)
		render_column(out, row->name, o->column);
	else
		render_typed(out, row, o->column, o->join_schema, o->join_table, o->join_fk);
}

/* One more than a row may have before it says "fetch again": EVENT_OWNERS_MAX in hub/event.h. */
#define TOO_MANY_OWNERS "10001"

/* The owners of one row: distinct, sorted, no NULL. */
static void add_owners(struct buf *out, const struct watch *w, const struct row *row)
{
	bool plain = w->n_owners == 1 && !w->owners[0].join_table;

	if (!w->n_owners) {
		buf_str(out, "'{}'::text[]");
		return;
	}
	if (plain && row->record) { /* a function would have to be set up */
		buf_str(out, "CASE WHEN ");
		render_column(out, row->name, w->owners[0].column);
		buf_str(out, " IS NULL THEN '{}'\n     ELSE ARRAY[");
		add_text(out, row, w->owners[0].column);
		buf_str(out, "] END");
		return;
	}
	if (plain) {
		buf_str(out, "array_remove(ARRAY[");
		add_text(out, row, w->owners[0].column);
		buf_str(out, "], NULL)");
		return;
	}
	buf_str(out, "ARRAY(SELECT DISTINCT owner FROM (\n");
	for (size_t i = 0; i < w->n_owners; i++) {
		buf_str(out, i ? "\nUNION ALL\n" : "");
		add_owner_rows(out, &w->owners[i], row);
	}
	buf_str(out,
		") AS owners\nWHERE owner IS NOT NULL ORDER BY owner LIMIT " TOO_MANY_OWNERS ")");
}

static void add_pk(struct buf *out, const struct watch *w, const struct row *row)
{
	for (size_t i = 0; i < w->n_key; i++) {
		buf_str(out, i ? " || ',' || " : "");
		buf_str(out, w->n_key > 1 ? "(" : "");
		add_text(out, row, w->key[i]);
		buf_str(out, w->n_key > 1 ? ")" : "");
	}
}

/* SELECT of the owners of "this". OFFSET 0 where looking them up is work that is to be done once.
 */
static void add_owners_of_this(struct buf *out, const struct watch *w)
{
	bool plain = !w->n_owners || (w->n_owners == 1 && !w->owners[0].join_table);
	const struct row this = {.name = "this", .record = true};

	buf_str(out, "SELECT ");
	add_owners(out, w, &this);
	buf_str(out, plain ? "" : " OFFSET 0");
}

/* "past.a, past.b" */
static void add_list(struct buf *out, const char *record, const struct columns *c)
{
	size_t line = out->len;

	for (size_t i = 0; i < c->n; i++) {
		render_comma(out, i, &line);
		render_column(out, record, c->names[i]);
	}
}

/* That an update changed a watched column, were it only in its image (1.0 to 1.00). */
static void add_this_differs(struct buf *out, const struct columns *c)
{
	buf_str(out, "ROW(");
	add_list(out, "past", c);
	buf_str(out, ")::record\n*<> ROW(");
	add_list(out, "this", c);
	buf_str(out, ")::record");
}

/* That an update has left the key and the columns alone that say who owns the row. */
static void add_this_stays(struct buf *out, const struct watch *w)
{
	struct columns c = {0};

	for (size_t i = 0; i < w->n_key; i++)
		columns_add(&c, w->key[i]);
	for (size_t i = 0; i < w->n_owners; i++)
		columns_add(&c, w->owners[i].column);
	for (size_t i = 0; i < c.n; i++) {
		buf_str(out, i ? "\nAND " : "");
		render_column(out, "this", c.names[i]);
		buf_str(out, " IS NOT DISTINCT FROM ");
		render_column(out, "past", c.names[i]);
	}
	free(c.names);
}

static void add_same_key(struct buf *out, const struct watch *w)
{
	for (size_t i = 0; i < w->n_key; i++) {
		buf_str(out, i ? " AND " : "");
		render_value(out, &(struct row){.name = "n.r"}, "->", w->key[i]);
		buf_str(out, " = ");
		render_value(out, &(struct row){.name = "o.r"}, "->", w->key[i]);
	}
}

/* Of an update of one row; more than one are paired anyway. */
static void add_key_changed(struct buf *out, const struct watch *w)
{
	buf_char(out, '(');
	for (size_t i = 0; i < w->n_key; i++) {
		buf_str(out, i ? " OR " : "");
		render_value(out, &(struct row){.name = "news[1]"}, "->", w->key[i]);
		buf_str(out, " IS DISTINCT FROM ");
		render_value(out, &(struct row){.name = "olds[1]"}, "->", w->key[i]);
	}
	buf_char(out, ')');
}

/* Of the first row, and so of all: the column is gone. */
static void add_key_missing(struct buf *out, const struct watch *w)
{
	for (size_t i = 0; i < w->n_key; i++) {
		buf_str(out, i ? "\nOR " : "");
		render_value(out, &(struct row){.name = "coalesce(news[1], olds[1])"}, "->",
			     w->key[i]);
		buf_str(out, " IS NULL");
	}
}

/* That a watched column differs, as text: 1.0 and 1.00 are equal numbers to jsonb. Simple
 * expressions need no executor. */
static void add_differs(struct buf *out, const struct columns *c)
{
	for (size_t i = 0; i < c->n; i++) {
		buf_str(out, i ? "\nOR " : "");
		render_value(out, &(struct row){.name = "now"}, "->>", c->names[i]);
		buf_str(out, " IS DISTINCT FROM ");
		render_value(out, &(struct row){.name = "was"}, "->>", c->names[i]);
	}
}

/* Rows of these topics belong to somebody else when a row of ours does. */
static void add_rescope(struct buf *out, const struct watch *w)
{
	if (!w->n_rescope)
		return;
	if (w->notify)
		buf_str(out, "IF changed AND before <> after THEN\n");
	else
		buf_str(out, "IF moved OR reason IS NOT NULL AND TG_OP = 'UPDATE' THEN\n"
			     "  INSERT INTO pgherald.journal (id, topic, op, data) OVERRIDING "
			     "SYSTEM VALUE\n"
			     "  VALUES ");
	for (size_t i = 0; i < w->n_rescope; i++) {
		if (w->notify) {
			buf_str(out, "  PERFORM pg_notify('pgherald_inline',\n"
				     "                    '{\"v\":1,\"topic\":\"");
			buf_str(out, w->rescope[i]);
			buf_str(out, "\",\"op\":\"r\",\"reason\":\"rescope\"}');\n");
			continue;
		}
		buf_str(out, i ? ",\n         (pgherald.next_id(), " : "(pgherald.next_id(), ");
		ident_add_literal(out, w->rescope[i]);
		buf_str(out, ", 'r', '{\"reason\":\"rescope\"}')");
	}
	buf_str(out, w->notify ? "END IF;" : ";\nEND IF;");
}

/* "('schema', 'table', 'column')," of a list that goes on. */
static void add_text_column(void *arg, const struct text_column *c)
{
	struct buf *out = arg;

	buf_str(out, out->len ? "\n(" : "(");
	ident_add_literal(out, c->schema);
	buf_str(out, ", ");
	ident_add_literal(out, c->table);
	buf_str(out, ", ");
	ident_add_literal(out, c->column);
	buf_str(out, "),");
}

/* As the row is gone or not: only then names are recorded. */
static void add_data(struct buf *out, const struct watch *w, const struct columns *c,
		     const struct row *row)
{
	autobuf gone, stays;

	buf_init(&gone, RENDER_MAX);
	buf_init(&stays, RENDER_MAX);
	render_data_gone(&gone, w, c, row);
	render_data(&stays, w, c, row);
	if (!render_names(w)) {
		buf_str(out, buf_cstr(&stays));
		return;
	}
	buf_str(out, "CASE WHEN it.now IS NULL\n     THEN ");
	render_indented(out, buf_cstr(&gone), strlen("     THEN "));
	buf_str(out, "\n     ELSE ");
	render_indented(out, buf_cstr(&stays), strlen("     ELSE "));
	buf_str(out, " END");
}

static void add_grants(struct buf *out, const struct watch *w)
{
	struct render_grants *g = render_grants_new("pgherald_owner");

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
	struct row one = {.name = "it.one"}, was = {.name = "it.was"};
	const struct row now = {.name = "it.now"}, this = {.name = "this", .record = true};
	struct columns columns = {0};

	columns_of(w, &columns);
	ident_add_table(&parts[PART_TABLE], w->schema, w->table);
	ident_add_literal(&parts[PART_TABLE_LITERAL], buf_cstr(&parts[PART_TABLE]));
	ident_add_literal(&parts[PART_SCHEMA_LITERAL], w->schema);
	ident_add_literal(&parts[PART_NAME_LITERAL], w->table);
	render_comment(&parts[PART_TABLE_COMMENT], buf_cstr(&parts[PART_TABLE]));
	add_array(&parts[PART_COLUMNS], columns.names, columns.n);
	add_array(&parts[PART_KEY_ARRAY], (const char *const *)w->key, w->n_key);
	text_columns_of(w, add_text_column, &parts[PART_TEXT_COLUMNS]);
	utc_columns_of(w, add_text_column, &parts[PART_UTC_COLUMNS]);
	add_grants(&parts[PART_GRANTS], w);
	add_pk(&parts[PART_PK], w, &one);
	add_same_key(&parts[PART_SAME_KEY], w);
	add_key_changed(&parts[PART_KEY_CHANGED], w);
	add_key_missing(&parts[PART_KEY_MISSING], w);
	add_differs(&parts[PART_DIFFERS], &columns);
	add_owners(&parts[PART_OWN_OLD], w, &was);
	add_owners(&parts[PART_OWN_NEW], w, &now);
	add_pk(&parts[PART_THIS_PK], w, &this);
	add_this_differs(&parts[PART_THIS_DIFFERS], &columns);
	add_this_stays(&parts[PART_THIS_STAYS], w);
	add_owners_of_this(&parts[PART_THIS_OWNERS], w);
	render_data(&parts[PART_THIS_DATA], w, &columns, &this);
	render_data_gone(&parts[PART_THIS_DATA_GONE], w, &columns, &this);
	add_data(&parts[PART_DATA], w, &columns, &one);
	render_data(&parts[PART_PAST], w, &columns, &was);
	columns_mark(w, &columns, &parts[PART_MARK]);
	if (!w->notify) {
		one.places = was.places = &columns;
		one.named = true;
	}
	render_doc(&parts[PART_DOC], w, &one);
	render_leave(&parts[PART_LEAVE], w, &was);
	add_rescope(&parts[PART_RESCOPE], w);
	free(columns.names);
}

/* A template within the other: without its last line break, which the other has. */
static void fill_inner(struct buf *out, const char *text, const struct slot *slots)
{
	buf_init(out, RENDER_MAX);
	template_fill(out, text, slots);
	if (out->len)
		out->data[--out->len] = '\0';
}

static void render(struct buf *out, const char *text, const struct watch *w)
{
	enum { N_OTHERS = 10 };
	struct buf parts[N_PARTS], begin, refuse, on, tell, settings;
	struct slot slots[N_PARTS + N_OTHERS];
	autofree char *functions = xasprintf("'on_%s', 'tell_%s'", w->topic, w->topic);

	for (size_t i = 0; i < N_PARTS; i++)
		buf_init(&parts[i], RENDER_MAX);
	fill_parts(parts, w);
	render_stamp(&parts[PART_STAMP], functions);
	for (size_t i = 0; i < N_PARTS; i++)
		slots[i] = (struct slot){part_names[i], buf_cstr(&parts[i])};
	slots[N_PARTS] = (struct slot){"topic", w->topic};
	slots[N_PARTS + 1] = (struct slot){"version", PACKAGE_VERSION};
	slots[N_PARTS + 2] = (struct slot){"may_ring", render_may_ring(w->doorbell)};
	slots[N_PARTS + 3] = (struct slot){"asleep", render_asleep(w->doorbell)};
	slots[N_PARTS + 4] = (struct slot){NULL, NULL};
	fill_inner(&refuse, sql_refuse, slots);
	render_begin(&begin);
	fill_inner(&on, w->notify ? sql_on_inline : sql_on_journal, slots);
	fill_inner(&tell, w->notify ? sql_tell_nothing : sql_tell, slots);
	fill_inner(&settings, w->notify ? "" : sql_settings, slots);
	slots[N_PARTS + 4] = (struct slot){"on", buf_cstr(&on)};
	slots[N_PARTS + 5] = (struct slot){"tell", buf_cstr(&tell)};
	slots[N_PARTS + 6] = (struct slot){"settings", buf_cstr(&settings)};
	slots[N_PARTS + 7] = (struct slot){"refuse", buf_cstr(&refuse)};
	slots[N_PARTS + 8] = (struct slot){"begin", buf_cstr(&begin)};
	slots[N_PARTS + 9] = (struct slot){NULL, NULL};
	template_fill(out, text, slots);
	buf_free(&begin);
	buf_free(&refuse);
	buf_free(&on);
	buf_free(&tell);
	buf_free(&settings);
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
