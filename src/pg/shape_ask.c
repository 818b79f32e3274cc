/* SPDX-License-Identifier: PostgreSQL
 * See shape_ask.h. */
#include "config.h"
#include "pg/shape_ask.h"

#include <stdlib.h>

#include "base/mem.h"
#include "conf.h"
#include "sql/render_auth.h"
#include "sql/render_doc.h"
#include "sql/render_way.h"

/* (unnest() of several arrays is only known without its schema; only pg_catalog is on the path.)
 * $1 to $4 are topics, schemas, tables and marks ("" for capture = notify) of the watches; $5 to $8
 * topics, schemas, tables and columns of everything that is read; $9 to $12 topics, schemas, tables
 * and trigger functions of what is followed; $13 to $16 names, schemas, tables and numbers of
 * triggers of the doors. By name and not by regclass, which asks for rights on the schema. Rows of
 * topic, or
 * '#' and a door's name, problem, remedy; the gravest first. */
const char shape_sql[] =
	"WITH RECURSIVE watch AS (SELECT w.*, r.oid FROM unnest($1::text[], $2::text[], "
	"$3::text[],"
	" $4::text[]) AS w (topic, nsp, rel, mark)"
	" LEFT JOIN (pg_catalog.pg_class AS r JOIN pg_catalog.pg_namespace AS n"
	" ON n.oid = r.relnamespace) ON n.nspname = w.nsp AND r.relname = w.rel"
	" AND r.relkind IN ('r', 'p')),"
	" col AS (SELECT DISTINCT c.* FROM unnest($5::text[], $6::text[], $7::text[],"
	" $8::text[]) AS c (topic, nsp, rel, col)),"
	" part AS (SELECT w.topic, w.oid FROM watch AS w UNION"
	" SELECT part.topic, i.inhrelid FROM part JOIN pg_catalog.pg_inherits AS i"
	" ON i.inhparent = part.oid),"
	" function AS (SELECT p.proname, p.oid, p.prosrc FROM pg_catalog.pg_proc AS p"
	" JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace WHERE n.nspname = 'pgherald')"
	" SELECT found.topic, found.problem, found.remedy FROM ("
	" SELECT 1 AS place, c.topic, pg_catalog.format('there is no table %I.%I', c.nsp, c.rel) "
	"AS problem,"
	" 'correct [watch ' || c.topic || '], then pgherald sql install --apply' AS remedy"
	" FROM (SELECT DISTINCT topic, nsp, rel FROM col) AS c"
	" WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class AS r JOIN pg_catalog.pg_namespace AS n"
	" ON n.oid = r.relnamespace WHERE n.nspname = c.nsp AND r.relname = c.rel)"
	" UNION ALL"
	" SELECT 1, c.topic, pg_catalog.format('%I.%I is no table', c.nsp, c.rel),"
	" 'correct [watch ' || c.topic || '], then pgherald sql install --apply'"
	" FROM (SELECT DISTINCT topic, nsp, rel FROM col) AS c"
	" JOIN pg_catalog.pg_namespace AS n ON n.nspname = c.nsp"
	" JOIN pg_catalog.pg_class AS r ON r.relnamespace = n.oid AND r.relname = c.rel"
	" AND r.relkind IN ('v', 'f')"
	" UNION ALL"
	" SELECT 2, c.topic, pg_catalog.format('%I.%I has no column %I', c.nsp, c.rel, c.col),"
	" 'correct [watch ' || c.topic || '], then pgherald sql install --apply'"
	" FROM col AS c JOIN pg_catalog.pg_namespace AS n ON n.nspname = c.nsp"
	" JOIN pg_catalog.pg_class AS r ON r.relnamespace = n.oid AND r.relname = c.rel"
	" WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = r.oid"
	" AND a.attname = c.col AND a.attnum > 0 AND NOT a.attisdropped)"
	" UNION ALL"
	" SELECT 3, w.topic, pg_catalog.format(CASE WHEN f.oid IS NULL"
	" THEN 'nothing is installed for %I.%I' ELSE"
	" 'triggers on %I.%I are missing or disabled' END, w.nsp, w.rel),"
	" 'pgherald sql install --apply'"
	" FROM watch AS w LEFT JOIN function AS f ON f.proname = 'on_' || w.topic"
	" WHERE w.oid IS NOT NULL AND (SELECT pg_catalog.count(*) FROM pg_catalog.pg_trigger AS t"
	" WHERE t.tgrelid = w.oid AND t.tgfoid = f.oid AND t.tgenabled IN ('O', 'A')"
	" AND t.tgname IN ('zz_pgherald_i', 'zz_pgherald_u', 'zz_pgherald_d', 'zz_pgherald_t')) < 4"
	" UNION ALL"
	" SELECT 3, y.topic, pg_catalog.format('triggers on %I.%I are missing or disabled', y.nsp, "
	"y.rel),"
	" 'pgherald sql install --apply'"
	" FROM unnest($9::text[], $10::text[], $11::text[], $12::text[]) AS y (topic, nsp, rel, fn)"
	" WHERE (SELECT pg_catalog.count(*) FROM function AS f JOIN pg_catalog.pg_trigger AS t"
	" ON t.tgfoid = f.oid JOIN pg_catalog.pg_class AS r ON r.oid = t.tgrelid"
	" JOIN pg_catalog.pg_namespace AS n ON n.oid = r.relnamespace"
	" WHERE f.proname = y.fn AND n.nspname = y.nsp AND r.relname = y.rel"
	" AND t.tgenabled IN ('O', 'A')) < 4"
	" UNION ALL"
	" SELECT 3, '#' || d.door, pg_catalog.format(CASE WHEN r.oid IS NULL THEN 'there is no "
	"table "
	"%I.%I'"
	" ELSE 'triggers on %I.%I are missing or disabled: rights that end there are noticed every "
	"recheck, and not at once' END, d.nsp, d.rel), 'pgherald sql install --apply'"
	" FROM unnest($13::text[], $14::text[], $15::text[], $16::text[]) AS d (door, nsp, rel, n)"
	" LEFT JOIN (pg_catalog.pg_class AS r JOIN pg_catalog.pg_namespace AS n"
	" ON n.oid = r.relnamespace) ON n.nspname = d.nsp AND r.relname = d.rel"
	" WHERE (SELECT pg_catalog.count(*) FROM function AS f JOIN pg_catalog.pg_trigger AS t"
	" ON t.tgfoid = f.oid WHERE f.proname = 'revoke_' || d.door AND t.tgrelid = r.oid"
	" AND t.tgenabled IN ('O', 'A')) < d.n::int4"
	" UNION ALL"
	" SELECT 4, w.topic, 'what is installed is of another configuration',"
	" 'pgherald sql install --apply'"
	" FROM watch AS w JOIN function AS f ON f.proname = 'tell_' || w.topic"
	" WHERE w.mark <> '' AND pg_catalog.strpos(f.prosrc, w.mark) = 0"
	" UNION ALL"
	/* what it is made of: the files and types of the table and of its parts */
	" SELECT 9, w.topic, pg_catalog.md5((SELECT pg_catalog.string_agg(r.oid || ' ' || "
	"r.relfilenode"
	" || ' ' || (SELECT pg_catalog.string_agg(a.atttypid || '.' || a.atttypmod, ' '"
	" ORDER BY a.attnum) FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = r.oid"
	" AND a.attnum > 0 AND NOT a.attisdropped AND a.attname IN"
	" (SELECT c.col FROM col AS c WHERE c.topic = w.topic)), ',' ORDER BY r.oid)"
	" FROM part AS p JOIN pg_catalog.pg_class AS r ON r.oid = p.oid WHERE p.topic = w.topic)),"
	" NULL FROM watch AS w WHERE w.oid IS NOT NULL) AS found"
	" ORDER BY found.topic, found.place, found.problem";

void shape_add(struct buf *b, const char *text)
{
	buf_str(b, b->len > 1 ? ",\"" : "\"");
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			buf_char(b, '\\');
		buf_char(b, *text);
	}
	buf_char(b, '"');
}

static void add_column(struct buf *params, const struct watch *w, const char *schema,
		       const char *table, const char *column)
{
	shape_add(&params[4], w->topic);
	shape_add(&params[5], schema);
	shape_add(&params[6], table);
	shape_add(&params[7], column);
}

static void add_way(void *arg, const struct way *way)
{
	struct buf *params = arg;
	autofree char *function = xasprintf("way_%s_%zu", way->watch->topic, way->n);

	shape_add(&params[8], way->watch->topic);
	shape_add(&params[9], way->hop->schema);
	shape_add(&params[10], way->hop->table);
	shape_add(&params[11], function);
}

static void add_watch(struct buf *params, const struct watch *w)
{
	struct columns columns = {0};
	autobuf mark = {0};

	buf_init(&mark, 64);
	columns_of(w, &columns);
	if (!w->notify)
		columns_mark(w, &columns, &mark);
	shape_add(&params[0], w->topic);
	shape_add(&params[1], w->schema);
	shape_add(&params[2], w->table);
	shape_add(&params[3], buf_cstr(&mark));
	for (size_t i = 0; i < columns.n; i++)
		add_column(params, w, w->schema, w->table, columns.names[i]);
	for (size_t i = 0; i < w->n_fields; i++) {
		const struct watch_field *f = &w->fields[i];

		if (!f->join_table)
			continue;
		add_column(params, w, f->join_schema, f->join_table, f->join_key);
		add_column(params, w, f->join_schema, f->join_table, f->join_label);
	}
	for (size_t i = 0; i < w->n_owners; i++) {
		const struct watch_owner *o = &w->owners[i];

		for (size_t k = 0; k < o->n_hops; k++) {
			const struct watch_hop *h = &o->hops[k];

			add_column(params, w, h->schema, h->table, h->key);
			add_column(params, w, h->schema, h->table, h->value);
		}
	}
	if (w->follow)
		ways_of(w, add_way, params);
	free(columns.names);
}

/* A table whose changes tell of rights that end, with so many triggers; ones that have no name here
 * are found out elsewhere. */
static void add_door(struct buf *params, const struct conf_auth *a, const char *table,
		     const char *n_triggers)
{
	autobuf error = {0};
	struct auth_table t;

	buf_init(&error, 1024);
	if (auth_table_read(&t, "table", table, &error)) {
		shape_add(&params[12], a->name);
		shape_add(&params[13], t.schema);
		shape_add(&params[14], t.name);
		shape_add(&params[15], n_triggers);
	}
	auth_table_free(&t);
}

/* As sql/render_auth.c has them. */
static void add_auth(struct buf *params, const struct conf_auth *a)
{
	if (a->preset == PRESET_TICKET || !conf_auth_asks(a))
		return;
	if (!conf_auth_verifies(a))
		add_door(params, a, a->token_table, "3");
	add_door(params, a, a->user_table, "3");
	if (a->role_from != ROLE_FROM_GROUPS)
		return;
	add_door(params, a, a->membership_table, "4");
	add_door(params, a, a->group_table, "3");
}

void shape_params(struct buf params[SHAPE_PARAMS], const struct conf *conf)
{
	for (size_t i = 0; i < SHAPE_PARAMS; i++) {
		buf_init(&params[i], SHAPE_TEXT_MAX);
		buf_char(&params[i], '{');
	}
	for (size_t i = 0; i < conf->n_watches; i++)
		add_watch(params, conf->watches[i].parsed);
	for (size_t i = 0; i < conf->n_auths; i++)
		add_auth(params, &conf->auths[i]);
	for (size_t i = 0; i < SHAPE_PARAMS; i++)
		buf_char(&params[i], '}');
}
