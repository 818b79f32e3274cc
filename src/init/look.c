/* SPDX-License-Identifier: PostgreSQL
 * See look.h. */
#include "config.h"
#include "init/look.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/num.h"
#include "base/shown.h"
#include "init/owners.h"
#include "init/rows.h"
#include "sql/ident.h"

enum { SQL_MAX = 8192 };

/* Whoever owns a table may have put a policy, a view or an operator in the way: with these
 * settings the first is an error, and the others are not found. */
static const char begin_sql[] =
	"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;"
	"SET LOCAL search_path = pg_catalog, pg_temp;"
	"SET LOCAL row_security = off;"
	"SET LOCAL lock_timeout = '2s'; SET LOCAL statement_timeout = '60s'";

/* One row for each column, tables in the order of their names. Foreign keys of one column only;
 * the index must be usable for every row. */
static const char tables_sql[] =
	"WITH made AS ("
	" SELECT r.oid, n.nspname, r.relname"
	" FROM pg_catalog.pg_class AS r"
	" JOIN pg_catalog.pg_namespace AS n ON n.oid = r.relnamespace"
	" WHERE r.relkind IN ('r', 'p') AND NOT r.relispartition AND r.relpersistence <> 't'"
	" AND n.nspname <> ALL ('{pg_catalog,information_schema,pgherald}')"
	" AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d"
	" WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = r.oid"
	" AND d.deptype = 'e'))"
	" SELECT m.nspname, m.relname, a.attname,"
	" CASE t.typtype WHEN 'd' THEN b.typname ELSE t.typname END,"
	" CASE t.typtype WHEN 'd' THEN b.typnamespace ELSE t.typnamespace END"
	" = 'pg_catalog'::pg_catalog.regnamespace,"
	" (SELECT pg_catalog.array_position(i.indkey::int2[], a.attnum)"
	" FROM pg_catalog.pg_index AS i WHERE i.indrelid = m.oid AND i.indisprimary),"
	" EXISTS (SELECT FROM pg_catalog.pg_index AS i WHERE i.indrelid = m.oid"
	" AND i.indkey[0] = a.attnum AND i.indisvalid AND i.indpred IS NULL),"
	" f.nspname, f.relname, f.attname"
	" FROM made AS m"
	" JOIN pg_catalog.pg_attribute AS a ON a.attrelid = m.oid AND a.attnum > 0"
	/* not what triggers are not given (sql/stored.sql) */
	" AND NOT a.attisdropped AND a.attgenerated OPERATOR(pg_catalog.<>) "
	"'v'::pg_catalog.\"char\""
	" JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid"
	" LEFT JOIN pg_catalog.pg_type AS b ON b.oid = t.typbasetype"
	" LEFT JOIN LATERAL (SELECT o.nspname, o.relname, k.attname"
	" FROM pg_catalog.pg_constraint AS c JOIN made AS o ON o.oid = c.confrelid"
	" JOIN pg_catalog.pg_attribute AS k ON k.attrelid = c.confrelid AND k.attnum = c.confkey[1]"
	" WHERE c.conrelid = m.oid AND c.contype = 'f' AND c.conkey = ARRAY[a.attnum]"
	" ORDER BY c.oid LIMIT 1) AS f ON true"
	" ORDER BY m.nspname, m.relname, a.attnum";

enum {
	COL_SCHEMA,
	COL_TABLE,
	COL_COLUMN,
	COL_TYPE,
	COL_PLAIN,
	COL_KEY,
	COL_INDEX,
	COL_REF_SCHEMA,
	COL_REF_TABLE,
	COL_REF_COLUMN,
};

static bool complain(PGconn *db, const PGresult *r, const char *what)
{
	const char *why = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);

	fprintf(stderr, "pgherald: cannot %s: ", what);
	shown_print_lines(stderr, why ? why : PQerrorMessage(db));
	fputc('\n', stderr);
	return false;
}

bool look_begin(PGconn *db)
{
	PGresult *r = PQexec(db, begin_sql);
	bool ok = PQresultStatus(r) == PGRES_COMMAND_OK ||
		  complain(db, r, "begin to look at the database");

	PQclear(r);
	return ok;
}

/* Names go into a configuration, which somebody must be able to read: what a file or a terminal
 * would take for something else is as good as not there. */
static bool sayable(const PGresult *r, int row, int schema, int name)
{
	return owners_sayable(PQgetvalue(r, row, schema)) &&
	       owners_sayable(PQgetvalue(r, row, name));
}

/* The key's columns in their order: most tables have one. */
static void add_keys(struct catalog *c, const PGresult *r, int first, int end)
{
	struct table *t = &c->tables[c->n - 1];

	for (int row = first; row < end; row++)
		if (!PQgetisnull(r, row, COL_KEY) &&
		    !owners_sayable(PQgetvalue(r, row, COL_COLUMN)))
			return;
	for (int place = 0; place < end - first; place++)
		for (int row = first; row < end; row++) {
			const char *text = PQgetvalue(r, row, COL_KEY);
			uint64_t n;

			if (!PQgetisnull(r, row, COL_KEY) && num_u64(text, strlen(text), &n) &&
			    n == (uint64_t)place)
				table_add_key(t, PQgetvalue(r, row, COL_COLUMN));
		}
}

static int end_of_table(const PGresult *r, int first)
{
	int row = first;

	while (row < PQntuples(r) &&
	       !strcmp(PQgetvalue(r, row, COL_SCHEMA), PQgetvalue(r, first, COL_SCHEMA)) &&
	       !strcmp(PQgetvalue(r, row, COL_TABLE), PQgetvalue(r, first, COL_TABLE)))
		row++;
	return row;
}

static void add_table(struct catalog *c, const PGresult *r, int first, int end)
{
	struct table *t =
		catalog_add(c, PQgetvalue(r, first, COL_SCHEMA), PQgetvalue(r, first, COL_TABLE));

	for (int row = first; row < end; row++) {
		struct column *col;

		if (!owners_sayable(PQgetvalue(r, row, COL_COLUMN)))
			continue;
		col = table_add(t, PQgetvalue(r, row, COL_COLUMN), PQgetvalue(r, row, COL_TYPE),
				*PQgetvalue(r, row, COL_PLAIN) == 't');

		col->index = *PQgetvalue(r, row, COL_INDEX) == 't';
	}
	add_keys(c, r, first, end);
}

/* Once all of them are there. */
static void add_references(struct catalog *c, const PGresult *r)
{
	for (int row = 0; row < PQntuples(r); row++) {
		const struct column *named;
		struct column *col;
		size_t place, to;

		if (PQgetisnull(r, row, COL_REF_TABLE) ||
		    !owners_sayable(PQgetvalue(r, row, COL_REF_COLUMN)))
			continue;
		place = catalog_find(c, PQgetvalue(r, row, COL_SCHEMA),
				     PQgetvalue(r, row, COL_TABLE));
		to = catalog_find(c, PQgetvalue(r, row, COL_REF_SCHEMA),
				  PQgetvalue(r, row, COL_REF_TABLE));
		if (place == NO_TABLE || to == NO_TABLE)
			continue;
		named = table_find(&c->tables[place], PQgetvalue(r, row, COL_COLUMN));
		if (!named)
			continue;
		col = &c->tables[place].columns[named - c->tables[place].columns];
		col->refers = to;
		col->refers_key = xstrdup(PQgetvalue(r, row, COL_REF_COLUMN));
	}
}

bool look_tables(PGconn *db, struct catalog *c)
{
	PGresult *r = PQexec(db, tables_sql);
	bool ok = PQresultStatus(r) == PGRES_TUPLES_OK;

	if (!ok)
		complain(db, r, "read the catalog");
	for (int row = 0; ok && row < PQntuples(r);) {
		int end = end_of_table(r, row);

		if (c->n == CATALOG_MAX_TABLES) {
			fprintf(stderr, "pgherald: more than %d tables: name yours with --watch\n",
				CATALOG_MAX_TABLES);
			ok = false;
			break;
		}
		if (sayable(r, row, COL_SCHEMA, COL_TABLE))
			add_table(c, r, row, end);
		row = end;
	}
	if (ok)
		add_references(c, r);
	PQclear(r);
	return ok;
}

void look_apps(PGconn *db, struct catalog *c)
{
	size_t place = catalog_find(c, NULL, "django_content_type");
	const struct column *label =
		place == NO_TABLE ? NULL : table_find(&c->tables[place], "app_label");
	autobuf sql = {0};
	PGresult *r;

	if (!label || !label->plain)
		return;
	buf_init(&sql, SQL_MAX);
	buf_str(&sql, "SELECT DISTINCT app_label::text FROM ");
	ident_add_table(&sql, c->tables[place].schema, c->tables[place].name);
	r = rows_read(db, c, &place, 1, buf_cstr(&sql));
	for (int i = 0; i < PQntuples(r); i++)
		catalog_add_app(c, PQgetvalue(r, i, 0));
	PQclear(r);
}

static void groups_sql(struct buf *sql, const struct catalog *c, const struct django *d)
{
	const struct table *groups = &c->tables[d->groups], *members = &c->tables[d->members];

	buf_str(sql, "SELECT DISTINCT g.name::text FROM ");
	ident_add_table(sql, groups->schema, groups->name);
	buf_str(sql, " AS g WHERE EXISTS (SELECT FROM ");
	ident_add_table(sql, members->schema, members->name);
	buf_str(sql, " AS m WHERE m.");
	ident_add(sql, d->member_group);
	buf_str(sql, " = g.id)");
}

static void column_sql(struct buf *sql, const struct catalog *c, const struct django *d)
{
	const struct table *users = &c->tables[d->users];

	buf_str(sql, "SELECT DISTINCT u.");
	ident_add(sql, d->role);
	buf_str(sql, "::text FROM ");
	ident_add_table(sql, users->schema, users->name);
	buf_str(sql, " AS u WHERE u.");
	ident_add(sql, d->role);
	buf_str(sql, " <> ''");
}

char **look_roles(PGconn *db, const struct catalog *c, const struct django *d, bool groups)
{
	const size_t both[] = {d->groups, d->members};
	autobuf sql = {0};
	PGresult *r;
	char **list = NULL;
	int n;

	buf_init(&sql, SQL_MAX);
	(groups ? groups_sql : column_sql)(&sql, c, d);
	buf_printf(&sql, " ORDER BY 1 LIMIT %d", LOOK_MAX_VALUES + 1);
	r = rows_read(db, c, groups ? both : &d->users, groups ? 2 : 1, buf_cstr(&sql));
	n = PQntuples(r);
	if (n > 0 && n <= LOOK_MAX_VALUES) {
		list = xcalloc((size_t)n + 1, sizeof(*list));
		for (int i = 0; i < n; i++)
			list[i] = xstrdup(PQgetvalue(r, i, 0));
	}
	PQclear(r);
	return list;
}
