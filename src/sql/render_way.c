/* SPDX-License-Identifier: PostgreSQL
 * See render_way.h: way.sql. "this" is a row of the watched table, h1, h2, ... are those of the
 * tables on the way, in the order in which they lead from it to the owners. */
#include "config.h"
#include "sql/render_way.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "sql/ident.h"
#include "sql/render.h"
#include "sql/render_doc.h"
#include "sql/render_steps.h"
#include "sql/render_teller.h"
#include "sql/template.h"
#include "sql/text.h"

static const struct row this = {.name = "this", .record = true};

void ways_of(const struct watch *w, void (*each)(void *arg, const struct way *way), void *arg)
{
	struct way way = {.watch = w};

	for (size_t i = 0; i < w->n_owners; i++) {
		way.owner = &w->owners[i];
		for (way.place = 0; way.place < way.owner->n_hops; way.place++) {
			way.hop = &way.owner->hops[way.place];
			way.n++;
			each(arg, &way);
		}
	}
}

/* That each step back finds an index. */
static void add_indexed(struct buf *out, const struct way *way)
{
	for (size_t i = 0; i <= way->place; i++) {
		const struct watch_hop *h = i ? &way->owner->hops[i - 1] : NULL;
		autobuf table = {0};

		buf_init(&table, RENDER_MAX);
		ident_add_table(&table, h ? h->schema : way->watch->schema,
				h ? h->table : way->watch->table);
		buf_str(out, i ? "\nAND pgherald.indexed(" : "pgherald.indexed(");
		ident_add_literal(out, buf_cstr(&table));
		buf_str(out, ", ");
		ident_add_literal(out, h ? h->value : way->owner->column);
		buf_char(out, ')');
	}
}

/* Whom the last table's values name is known; of others it has to be found out, while the rows that
 * lead there still stand. */
static void add_lost(struct buf *out, const struct way *way)
{
	autobuf owners = {0};

	if (steps_are_last(way))
		return;
	buf_init(&owners, RENDER_MAX);
	steps_on(&owners, way, "p.value");
	buf_str(out, "SELECT coalesce(array_agg(few.key), '{}'), coalesce(array_agg(few.owner), "
		     "'{}') INTO lost_keys, lost\n"
		     "FROM (SELECT p.key, o.owner\n"
		     "      FROM unnest(went_keys, went) AS p (key, value)\n"
		     "      CROSS JOIN LATERAL (\n"
		     "        ");
	render_indented(out, buf_cstr(&owners), 8);
	buf_str(out, ") AS o\n"
		     "      WHERE o.owner IS NOT NULL LIMIT 10001) AS few;\n"
		     "IF cardinality(lost) > 10000 THEN\n"
		     "  lost := NULL;\n"
		     "END IF;");
}

enum part {
	PART_TOPIC,
	PART_VERSION,
	PART_FUNCTION,
	PART_SEEK,
	PART_FUNCTIONS,
	PART_N,
	PART_TABLE,
	PART_TABLE_LITERAL,
	PART_TABLE_COMMENT,
	PART_SCHEMA_LITERAL,
	PART_NAME_LITERAL,
	PART_BEGIN,
	PART_HOME,
	PART_TELLER,
	PART_STAMP,
	PART_STAMP_TELLER,
	PART_PAIR,
	PART_AT_HAND,
	PART_WON,
	PART_LOST,
	PART_INDEXED,
	PART_THIS_KEY,
	PART_THIS_DATA,
	PART_ROWS,
	PART_ROWS_OF_KEY,
	PART_WAY_MARK,
	PART_MAY_RING,
	/* made of the others */
	PART_PARTS,
	PART_TABLES_ONLY,
	N_PARTS,
};

static const char *const part_names[N_PARTS] = {
	[PART_TOPIC] = "topic",
	[PART_VERSION] = "version",
	[PART_FUNCTION] = "function",
	[PART_SEEK] = "seek",
	[PART_FUNCTIONS] = "functions",
	[PART_N] = "n",
	[PART_TABLE] = "table",
	[PART_TABLE_LITERAL] = "table_literal",
	[PART_TABLE_COMMENT] = "table_comment",
	[PART_SCHEMA_LITERAL] = "schema_literal",
	[PART_NAME_LITERAL] = "name_literal",
	[PART_BEGIN] = "begin",
	[PART_HOME] = "home",
	[PART_TELLER] = "teller",
	[PART_STAMP] = "stamp",
	[PART_STAMP_TELLER] = "stamp_teller",
	[PART_PAIR] = "pair",
	[PART_AT_HAND] = "at_hand",
	[PART_WON] = "won",
	[PART_LOST] = "lost",
	[PART_INDEXED] = "indexed",
	[PART_THIS_KEY] = "this_key",
	[PART_THIS_DATA] = "this_data",
	[PART_ROWS] = "rows",
	[PART_ROWS_OF_KEY] = "rows_of_key",
	[PART_WAY_MARK] = "way_mark",
	[PART_MAY_RING] = "may_ring",
	[PART_PARTS] = "parts",
	[PART_TABLES_ONLY] = "tables_only",
};

static void name_parts(struct buf *parts, const struct way *way)
{
	const struct watch_hop *h = way->hop;
	autofree char *on = xasprintf("'way_%s_%zu'", way->watch->topic, way->n);

	buf_str(&parts[PART_TOPIC], way->watch->topic);
	buf_str(&parts[PART_VERSION], PACKAGE_VERSION);
	buf_printf(&parts[PART_FUNCTION], "way_%s_%zu", way->watch->topic, way->n);
	buf_printf(&parts[PART_SEEK], "seek_%s_%zu", way->watch->topic, way->n);
	buf_printf(&parts[PART_FUNCTIONS], "'seek_%s_%zu'", way->watch->topic, way->n);
	buf_u64(&parts[PART_N], way->n);
	ident_add_table(&parts[PART_TABLE], h->schema, h->table);
	ident_add_literal(&parts[PART_TABLE_LITERAL], buf_cstr(&parts[PART_TABLE]));
	render_comment(&parts[PART_TABLE_COMMENT], buf_cstr(&parts[PART_TABLE]));
	ident_add_literal(&parts[PART_SCHEMA_LITERAL], h->schema);
	ident_add_literal(&parts[PART_NAME_LITERAL], h->table);
	render_stamp(&parts[PART_STAMP], on);
	render_stamp(&parts[PART_STAMP_TELLER], buf_cstr(&parts[PART_FUNCTIONS]));
}

/* "pgherald.as_text(r.column) COLLATE "C" AS key" */
static void add_side(struct buf *out, const char *column, const char *name)
{
	buf_str(out, out->len ? ", pgherald.as_text(r." : "pgherald.as_text(r.");
	ident_add(out, column);
	buf_printf(out, ") COLLATE \"C\" AS %s", name);
}

static void body_parts(struct buf *parts, const struct way *way)
{
	const struct watch *w = way->watch;
	bool last = steps_are_last(way);
	struct columns columns = {0};

	columns_of(w, &columns);
	add_side(&parts[PART_PAIR], way->hop->key, "key");
	add_side(&parts[PART_PAIR], way->hop->value, "value");
	buf_str(&parts[PART_AT_HAND],
		last ? "lost_keys := went_keys;\nlost := coalesce(went, '{}');"
		     : "lost := CASE WHEN went IS NULL THEN '{}' ELSE lost END;");
	buf_str(&parts[PART_WON],
		last ? "ARRAY(SELECT c.owner FROM unnest(hit.keys) AS k (key)\n"
		       "      JOIN unnest(came_keys, came) AS c (key, owner) USING (key))"
		     : "CASE WHEN hit.keys && came_keys THEN '{NULL}'::text[] ELSE '{}' END");
	add_lost(&parts[PART_LOST], way);
	add_indexed(&parts[PART_INDEXED], way);
	render_key(&parts[PART_THIS_KEY], w, &this);
	render_data(&parts[PART_THIS_DATA], w, &columns, &this, NULL);
	steps_back(&parts[PART_ROWS], way);
	steps_begin(&parts[PART_ROWS_OF_KEY], way, "m.key");
	ways_mark(&parts[PART_WAY_MARK], w);
	buf_str(&parts[PART_MAY_RING], render_may_ring(w->doorbell));
	free(columns.names);
}

static void teller_parts(struct buf *parts, const struct way *way, const struct render_all *all)
{
	autofree char *seek = xasprintf("^%s$", buf_cstr(&parts[PART_SEEK]));
	const struct teller t = {way->watch, all, buf_cstr(&parts[PART_TABLE_LITERAL]), seek, seek};
	struct render_grants *g = render_grants_new("");

	render_grants_add(g, way->hop->schema, way->hop->table, way->hop->key);
	render_grants_add(g, way->hop->schema, way->hop->table, way->hop->value);
	render_grants_stored(g, &parts[PART_HOME]);
	render_grants_free(g);

	teller_home(&parts[PART_HOME], &t);
	teller_away(&parts[PART_TELLER], &t);
}

static void render(struct buf *out, const char *text, const struct way *way,
		   const struct render_all *all)
{
	struct buf parts[N_PARTS];
	struct slot slots[N_PARTS + 1];

	for (size_t i = 0; i < N_PARTS; i++)
		if (i != PART_BEGIN)
			buf_init(&parts[i], RENDER_MAX);
	render_begin(&parts[PART_BEGIN]);
	name_parts(parts, way);
	body_parts(parts, way);
	teller_parts(parts, way, all);
	for (size_t i = 0; i < N_PARTS; i++) {
		slots[i] = (struct slot){NULL, NULL};
		if (i == PART_PARTS)
			template_fill_within(&parts[i], sql_parts, slots);
		else if (i == PART_TABLES_ONLY)
			template_fill_within(&parts[i], sql_tables_only, slots);
		slots[i] = (struct slot){part_names[i], buf_cstr(&parts[i])};
	}
	slots[N_PARTS] = (struct slot){NULL, NULL};
	template_fill(out, text, slots);
	for (size_t i = 0; i < N_PARTS; i++)
		buf_free(&parts[i]);
}

void render_way(struct buf *out, const struct way *way, const struct render_all *all)
{
	render(out, sql_way, way, all);
}

void render_unway(struct buf *out, const struct way *way)
{
	render(out, sql_unway, way, NULL);
}
