/* SPDX-License-Identifier: PostgreSQL
 * See render.h: the pieces of one watched table. In the journal's quick way "past" and "this" are
 * rows of the transition tables, in its careful way their columns stand bare; in tell it.one and
 * it.was are what the journal has of a row, and of the row before. on_inline has rows as jsonb
 * objects: was, now and one, whichever there is. */
#include "config.h"
#include "sql/render.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "sql/ident.h"
#include "sql/render_doc.h"
#include "sql/render_row.h"
#include "sql/template.h"
#include "sql/text.h"

enum part {
	/* the table */
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
	/* what its trigger records */
	PART_THIS_KEY,
	PART_THIS_OWN,
	PART_THIS_STAYS,
	PART_THIS_DIFFERS,
	PART_THIS_DATA,
	PART_THIS_DATA_GONE,
	PART_PLACE,
	PART_EACH,
	PART_CROSS_OLD,
	PART_CROSS_NEW,
	PART_CROSS_GONE,
	PART_LOOK_NEW,
	PART_LOOK_OLD,
	PART_LOOK_GONE,
	PART_MOVED,
	PART_RESCOPE,
	/* what clients are told */
	PART_MARK,
	PART_DOC,
	PART_LEAVE,
	PART_TOLD_OWNERS,
	PART_TOLD_OLD,
	PART_TOLD_NEW,
	PART_TOLD_BEFORE,
	PART_TOLD_AFTER,
	PART_THIS_OWNERS,
	PART_THIS_IS,
	PART_NOW_NODE,
	PART_NET_OLD,
	/* the same without a journal */
	PART_PK,
	PART_SAME_KEY,
	PART_DIFFERS,
	PART_OWN_OLD,
	PART_OWN_NEW,
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
	[PART_THIS_KEY] = "this_key",
	[PART_THIS_OWN] = "this_own",
	[PART_THIS_STAYS] = "this_stays",
	[PART_THIS_DIFFERS] = "this_differs",
	[PART_THIS_DATA] = "this_data",
	[PART_THIS_DATA_GONE] = "this_data_gone",
	[PART_PLACE] = "place",
	[PART_EACH] = "each",
	[PART_CROSS_OLD] = "cross_old",
	[PART_CROSS_NEW] = "cross_new",
	[PART_CROSS_GONE] = "cross_gone",
	[PART_LOOK_NEW] = "look_new",
	[PART_LOOK_OLD] = "look_old",
	[PART_LOOK_GONE] = "look_gone",
	[PART_MOVED] = "moved",
	[PART_RESCOPE] = "rescope",
	[PART_MARK] = "mark",
	[PART_DOC] = "doc",
	[PART_LEAVE] = "leave",
	[PART_TOLD_OWNERS] = "told_owners",
	[PART_TOLD_OLD] = "told_old",
	[PART_TOLD_NEW] = "told_new",
	[PART_TOLD_BEFORE] = "told_before",
	[PART_TOLD_AFTER] = "told_after",
	[PART_THIS_OWNERS] = "this_owners",
	[PART_THIS_IS] = "this_is",
	[PART_NOW_NODE] = "now_node",
	[PART_NET_OLD] = "net_old",
	[PART_PK] = "pk",
	[PART_SAME_KEY] = "same_key",
	[PART_DIFFERS] = "differs",
	[PART_OWN_OLD] = "own_old",
	[PART_OWN_NEW] = "own_new",
	[PART_STAMP] = "stamp",
};

/* What on_journal.sql calls what it has found in other tables, by the place of the row. */
#define NAMES "pgherald_names"
#define OWN   "pgherald_own"
#define WAS   "pgherald_was"
#define PLACE "pgherald_place"

static const struct row this = {.name = "this", .record = true}, bare = {.record = true};

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

/* "('schema', 'table', 'column', spelled)," of a list that goes on. */
static void add_table_column(void *arg, const struct table_column *c)
{
	struct buf *out = arg;

	buf_str(out, out->len ? "\n(" : "(");
	ident_add_literal(out, c->schema);
	buf_str(out, ", ");
	ident_add_literal(out, c->table);
	buf_str(out, ", ");
	ident_add_literal(out, c->column);
	buf_str(out, c->spelled ? ", true)," : ", false),");
}

/* --- what is recorded --- */

/* A template within the other: without its last line break, which the other has. */
static void fill_inner(struct buf *out, const char *text, const struct slot *slots)
{
	template_fill(out, text, slots);
	if (out->len)
		out->data[--out->len] = '\0';
}

/* "ARRAY[a::text, b::text]" of the columns that say whose a row is. */
static void add_via(struct buf *out, const struct watch *w)
{
	struct columns c = {0};
	size_t line = 0;

	owner_columns_of(w, &c);
	buf_str(out, "ARRAY[");
	for (size_t i = 0; i < c.n; i++) {
		render_comma(out, i, &line);
		buf_str(out, "pgherald.as_text(");
		render_column(out, &bare, c.names[i]);
		buf_char(out, ')');
	}
	buf_str(out, "] AS via");
	free(c.names);
}

static void add_each(struct buf *out, const struct watch *w)
{
	buf_str(out, "SELECT pgherald_v.pk, pgherald_v.own, pgherald_v.data");
	if (watch_has_hops(w))
		buf_str(out, ", pgherald_v.via");
}

/* The owners that the row itself names, and those that were found for it in the array `found`;
 * where nothing was found there is a NULL among them: whoever reads looks. */
static void add_own(struct buf *out, const struct watch *w, const struct row *row,
		    const char *found, const char *place)
{
	autobuf own = {0};

	if (!watch_has_hops(w)) {
		render_own(out, w, row);
		return;
	}
	buf_init(&own, RENDER_MAX);
	buf_printf(&own, "coalesce(%s[%s]::text[], array_append(", found, place);
	buf_str(out, buf_cstr(&own));
	buf_clear(&own);
	render_own(&own, w, row);
	render_indented(out, buf_cstr(&own), strlen("coalesce("));
	buf_str(out, ", NULL))");
}

/* A column that is gone reads as null: what is not found in the row is found in pgherald_gone. */
static void add_cross(struct buf *out, const struct watch *w, const struct columns *c,
		      const char *found, const char *names)
{
	size_t line = out->len;
	autobuf each = {0};

	buf_str(out, "CROSS JOIN (VALUES (");
	for (size_t i = 0; i < c->n; i++) {
		render_comma(out, i, &line);
		buf_str(out, "NULL::text");
	}
	buf_str(out, ")) AS pgherald_gone (");
	line = out->len;
	for (size_t i = 0; i < c->n; i++) {
		render_comma(out, i, &line);
		ident_add(out, c->names[i]);
	}
	buf_str(out, ")\nCROSS JOIN LATERAL (SELECT ");
	buf_init(&each, RENDER_MAX);
	render_key(&each, w, &bare);
	buf_str(&each, " AS pk,\n");
	add_own(&each, w, &bare, found, PLACE);
	buf_str(&each, " AS own,\n");
	if (watch_has_hops(w)) {
		add_via(&each, w);
		buf_str(&each, ",\n");
	}
	render_data(&each, w, c, &bare, names);
	buf_str(&each, " AS data\nFROM (SELECT pgherald_row.*) AS pgherald_x) AS pgherald_v");
	render_indented(out, buf_cstr(&each), strlen("CROSS JOIN LATERAL (SELECT "));
}

/* look.sql: the owners of these rows, and their names, into the arrays; NULL for what is not
 * wanted. */
static void add_look(struct buf *out, const struct watch *w, const char *rows, const char *owners,
		     const char *names)
{
	autobuf looks = {0}, what = {0}, own = {0};

	buf_init(&looks, RENDER_MAX);
	buf_init(&what, RENDER_MAX);
	buf_init(&own, RENDER_MAX);
	if (owners && watch_has_hops(w)) {
		render_own(&own, w, &this);
		render_owners(&what, w, &this, buf_cstr(&own));
		buf_printf(&looks, "%s := ARRAY(SELECT ", owners);
		render_indented(&looks, buf_cstr(&what), strlen("pgherald_own := ARRAY(SELECT "));
		buf_printf(&looks, "::text\nFROM %s AS this LIMIT 501);", rows);
	}
	if (names && watch_has_names(w)) {
		buf_clear(&what);
		render_names(&what, w, &this);
		buf_printf(&looks, "%s%s := ARRAY(SELECT ", looks.len ? "\n" : "", names);
		render_indented(&looks, buf_cstr(&what), strlen("pgherald_names := ARRAY(SELECT "));
		buf_printf(&looks, "\nFROM %s AS this LIMIT 501);", rows);
	}
	if (looks.len) {
		const struct slot slots[] = {{"looks", buf_cstr(&looks)}, {NULL, NULL}};

		fill_inner(out, sql_look, slots);
	}
}

/* That an update has left the key and the columns alone that say who owns the row. */
static void add_this_stays(struct buf *out, const struct watch *w)
{
	struct columns c = {0};

	for (size_t i = 0; i < w->n_key; i++)
		columns_add(&c, w->key[i]);
	owner_columns_of(w, &c);
	render_agree(out, &c, "this", "past");
	free(c.names);
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

static void record_parts(struct buf *parts, const struct watch *w, const struct columns *c)
{
	bool names = watch_has_names(w), hops = watch_has_hops(w);

	render_key(&parts[PART_THIS_KEY], w, &this);
	add_own(&parts[PART_THIS_OWN], w, &this, OWN, "1");
	add_this_stays(&parts[PART_THIS_STAYS], w);
	render_differ(&parts[PART_THIS_DIFFERS], c, "past", "this");
	render_data(&parts[PART_THIS_DATA], w, c, &this, NULL);
	render_data(&parts[PART_THIS_DATA_GONE], w, c, &this, names ? NAMES "[1]" : NULL);
	add_each(&parts[PART_EACH], w);
	if (names || hops)
		buf_str(&parts[PART_PLACE], ", row_number() OVER () AS " PLACE);
	add_cross(&parts[PART_CROSS_OLD], w, c, WAS, NULL);
	add_cross(&parts[PART_CROSS_NEW], w, c, OWN, NULL);
	add_cross(&parts[PART_CROSS_GONE], w, c, OWN, names ? NAMES "[" PLACE "]" : NULL);
	add_look(&parts[PART_LOOK_NEW], w, "new_rows", OWN, NULL);
	add_look(&parts[PART_LOOK_OLD], w, "old_rows", WAS, NULL);
	add_look(&parts[PART_LOOK_GONE], w, "old_rows", OWN, NAMES);
	buf_str(&parts[PART_MOVED], hops ? "o.own <> n.own OR o.via <> n.via" : "o.own <> n.own");
	add_rescope(&parts[PART_RESCOPE], w);
}

/* --- what is told --- */

static void add_all_owners(struct buf *out, const struct watch *w, const struct row *row)
{
	autobuf own = {0};

	buf_init(&own, RENDER_MAX);
	render_own(&own, w, row);
	render_owners(out, w, row, buf_cstr(&own));
}

/* The owners as they were recorded, and where a NULL is among them those of now. */
static void add_looked_up(struct buf *out, const struct watch *w, const struct row *row,
			  const char *recorded)
{
	autofree char *named = xasprintf("array_remove(%s, NULL)", recorded);
	autobuf owners = {0};

	buf_init(&owners, RENDER_MAX);
	buf_printf(out,
		   "CASE WHEN %s IS NULL OR array_position(%s, NULL) IS NULL THEN %s\n     ELSE ",
		   row->name, recorded, named);
	render_owners(&owners, w, row, named);
	render_indented(out, buf_cstr(&owners), strlen("     ELSE "));
	buf_str(out, " END");
}

static void add_told_owners(struct buf *parts, const struct watch *w, const struct row *one,
			    const struct row *was)
{
	struct buf *out = &parts[PART_TOLD_OWNERS];
	autobuf look = {0};

	if (!watch_has_hops(w)) {
		buf_str(&parts[PART_TOLD_OLD], "CASE WHEN j.op = 'u' AND j.past IS NULL THEN "
					       "j.own_new ELSE j.own_old END");
		buf_str(&parts[PART_TOLD_NEW], "j.own_new");
		return;
	}
	buf_str(&parts[PART_TOLD_OLD],
		"CASE WHEN j.op = 'u' AND j.past IS NULL THEN own.after ELSE own.before END");
	buf_str(&parts[PART_TOLD_NEW], "own.after");
	buf_init(&look, RENDER_MAX);
	/* before it was deleted the row was the one that is recorded */
	add_looked_up(&look, w, one, "j.own_new");
	buf_str(&look, " AS after,\nCASE WHEN j.op = 'd' THEN\n  ");
	add_looked_up(&look, w, one, "j.own_old");
	buf_str(&look, " ELSE\n  ");
	add_looked_up(&look, w, was, "j.own_old");
	buf_str(&look, " END AS before\nOFFSET 0) AS own");
	buf_str(out, "CROSS JOIN LATERAL (SELECT ");
	render_indented(out, buf_cstr(&look), strlen("CROSS JOIN LATERAL (SELECT "));
}

/* That "this" is the row that the journal's first image is one of. */
static void add_this_is(struct buf *out, const struct watch *w, const struct columns *c)
{
	const struct row image = {.name = "o.images[1]", .places = c};

	for (size_t i = 0; i < w->n_key; i++) {
		buf_str(out, i ? " AND " : "");
		render_column(out, &this, w->key[i]);
		buf_str(out, " = ");
		render_typed(out, &image, w->key[i], "this", w->key[i]);
	}
}

static void tell_parts(struct buf *parts, const struct watch *w, const struct columns *c)
{
	const struct row one = {.name = "it.one", .places = c, .named = true},
			 was = {.name = "it.was", .places = c, .named = true};

	columns_mark(w, c, &parts[PART_MARK]);
	render_doc(&parts[PART_DOC], w, &one);
	render_leave(&parts[PART_LEAVE], w, &was);
	add_told_owners(parts, w, &one, &was);
	buf_str(&parts[PART_TOLD_BEFORE], "told.own_old::text");
	buf_str(&parts[PART_TOLD_AFTER], "told.own_new::text");
	add_all_owners(&parts[PART_THIS_OWNERS], w, &this);
	add_this_is(&parts[PART_THIS_IS], w, c);
	buf_str(&parts[PART_NOW_NODE], "now.own::text");
	buf_str(&parts[PART_NET_OLD], "net.start::text[]");
}

/* --- without a journal --- */

static void add_same_key(struct buf *out, const struct watch *w)
{
	for (size_t i = 0; i < w->n_key; i++) {
		buf_str(out, i ? " AND " : "");
		render_value(out, &(struct row){.name = "n.r"}, "->", w->key[i]);
		buf_str(out, " = ");
		render_value(out, &(struct row){.name = "o.r"}, "->", w->key[i]);
	}
}

/* That a watched column differs, as text: 1.0 and 1.00 are equal numbers to jsonb. */
static void add_differs(struct buf *out, const struct columns *c)
{
	for (size_t i = 0; i < c->n; i++) {
		buf_str(out, i ? "\nOR " : "");
		render_value(out, &(struct row){.name = "now"}, "->>", c->names[i]);
		buf_str(out, " IS DISTINCT FROM ");
		render_value(out, &(struct row){.name = "was"}, "->>", c->names[i]);
	}
}

static void inline_parts(struct buf *parts, const struct watch *w, const struct columns *c)
{
	const struct row one = {.name = "it.one"}, was = {.name = "it.was"},
			 now = {.name = "it.now"};

	render_key(&parts[PART_PK], w, &one);
	add_same_key(&parts[PART_SAME_KEY], w);
	add_differs(&parts[PART_DIFFERS], c);
	add_all_owners(&parts[PART_OWN_OLD], w, &was);
	add_all_owners(&parts[PART_OWN_NEW], w, &now);
	render_doc(&parts[PART_DOC], w, &one);
	render_leave(&parts[PART_LEAVE], w, &was);
	add_rescope(&parts[PART_RESCOPE], w);
}

/* --- all of it --- */

/* What the owner role reads: of the watched table itself what is told, for a row that was written
 * to more than once in a transaction. */
static void add_grants(struct buf *out, const struct watch *w, const struct columns *c)
{
	struct render_grants *g = render_grants_new("pgherald_owner");

	for (size_t i = 0; !w->notify && i < c->n; i++)
		render_grants_add(g, w->schema, w->table, c->names[i]);
	for (size_t i = 0; i < w->n_fields; i++) {
		const struct watch_field *f = &w->fields[i];

		if (!f->join_table)
			continue;
		render_grants_add(g, f->join_schema, f->join_table, f->join_key);
		render_grants_add(g, f->join_schema, f->join_table, f->join_label);
	}
	for (size_t i = 0; i < w->n_owners; i++)
		for (size_t k = 0; k < w->owners[i].n_hops; k++) {
			const struct watch_hop *h = &w->owners[i].hops[k];

			render_grants_add(g, h->schema, h->table, h->key);
			render_grants_add(g, h->schema, h->table, h->value);
		}
	render_grants_finish(g, out);
}

static void table_parts(struct buf *parts, const struct watch *w, const struct columns *c)
{
	ident_add_table(&parts[PART_TABLE], w->schema, w->table);
	ident_add_literal(&parts[PART_TABLE_LITERAL], buf_cstr(&parts[PART_TABLE]));
	ident_add_literal(&parts[PART_SCHEMA_LITERAL], w->schema);
	ident_add_literal(&parts[PART_NAME_LITERAL], w->table);
	render_comment(&parts[PART_TABLE_COMMENT], buf_cstr(&parts[PART_TABLE]));
	add_array(&parts[PART_COLUMNS], c->names, c->n);
	add_array(&parts[PART_KEY_ARRAY], (const char *const *)w->key, w->n_key);
	text_columns_of(w, add_table_column, &parts[PART_TEXT_COLUMNS]);
	utc_columns_of(w, add_table_column, &parts[PART_UTC_COLUMNS]);
	add_grants(&parts[PART_GRANTS], w, c);
}

static void add_stamp(struct buf *out, const struct watch *w)
{
	autobuf functions = {0};

	buf_init(&functions, RENDER_MAX);
	buf_printf(&functions, "'on_%s'", w->topic);
	if (!w->notify)
		buf_printf(&functions, ", 'tell_%s', 'settle_%s'", w->topic, w->topic);
	render_stamp(out, buf_cstr(&functions));
}

static void render(struct buf *out, const char *text, const struct watch *w)
{
	enum { REFUSE, ON, TELL, SETTINGS, N_INNER, N_OTHERS = 5 };
	static const char *const inner_names[N_INNER] = {"refuse", "on", "tell", "settings"};
	const char *const inner_texts[N_INNER] = {
		[REFUSE] = sql_refuse,
		[ON] = w->notify ? sql_on_inline : sql_on_journal,
		[TELL] = w->notify ? sql_tell_nothing : sql_tell,
		[SETTINGS] = w->notify ? "" : sql_settings,
	};
	struct buf parts[N_PARTS], inner[N_INNER], begin;
	struct slot slots[N_PARTS + N_OTHERS + N_INNER + 1];
	struct columns columns = {0};
	size_t n = 0;

	for (size_t i = 0; i < N_PARTS; i++)
		buf_init(&parts[i], RENDER_MAX);
	columns_of(w, &columns);
	table_parts(parts, w, &columns);
	if (w->notify) {
		inline_parts(parts, w, &columns);
	} else {
		record_parts(parts, w, &columns);
		tell_parts(parts, w, &columns);
	}
	add_stamp(&parts[PART_STAMP], w);
	for (; n < N_PARTS; n++)
		slots[n] = (struct slot){part_names[n], buf_cstr(&parts[n])};
	slots[n++] = (struct slot){"topic", w->topic};
	slots[n++] = (struct slot){"version", PACKAGE_VERSION};
	slots[n++] = (struct slot){"may_ring", render_may_ring(w->doorbell)};
	slots[n++] = (struct slot){"asleep", render_asleep(w->doorbell)};
	render_begin(&begin);
	slots[n++] = (struct slot){"begin", buf_cstr(&begin)};
	for (size_t i = 0; i < N_INNER; i++) {
		slots[n] = (struct slot){NULL, NULL};
		buf_init(&inner[i], RENDER_MAX);
		fill_inner(&inner[i], inner_texts[i], slots);
		slots[n++] = (struct slot){inner_names[i], buf_cstr(&inner[i])};
	}
	slots[n] = (struct slot){NULL, NULL};
	template_fill(out, text, slots);
	for (size_t i = 0; i < N_INNER; i++)
		buf_free(&inner[i]);
	for (size_t i = 0; i < N_PARTS; i++)
		buf_free(&parts[i]);
	buf_free(&begin);
	free(columns.names);
}

void render_watch(struct buf *out, const struct watch *w)
{
	render(out, sql_watch, w);
}

void render_unwatch(struct buf *out, const struct watch *w)
{
	render(out, sql_unwatch, w);
}
