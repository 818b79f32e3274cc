/* SPDX-License-Identifier: PostgreSQL
 * See columns.h. */
#include "config.h"
#include "types/columns.h"

#include <stdio.h>
#include <string.h>

#include "base/shown.h"

/* $1 schema, $2 table, $3 column. A domain may be one over another, and its NOT NULL holds;
 * to_json() takes a cast to json where a type has one. */
static const char column_sql[] =
	"WITH RECURSIVE up AS ("
	" SELECT a.attnotnull AS filled, t.*"
	" FROM pg_catalog.pg_attribute AS a"
	" JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) a.attrelid"
	" JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace"
	" JOIN pg_catalog.pg_type AS t ON t.oid OPERATOR(pg_catalog.=) a.atttypid"
	" WHERE n.nspname OPERATOR(pg_catalog.=) $1 AND c.relname OPERATOR(pg_catalog.=) $2"
	" AND a.attname OPERATOR(pg_catalog.=) $3 AND a.attnum OPERATOR(pg_catalog.>) 0"
	" AND NOT a.attisdropped"
	" UNION ALL"
	" SELECT up.filled OR up.typnotnull, t.*"
	" FROM up JOIN pg_catalog.pg_type AS t ON t.oid OPERATOR(pg_catalog.=) up.typbasetype)"
	" SELECT COALESCE(e.typname, up.typname),"
	" COALESCE(e.typnamespace, up.typnamespace) OPERATOR(pg_catalog.=)"
	" 'pg_catalog'::pg_catalog.regnamespace::pg_catalog.oid,"
	" COALESCE(e.typtype, up.typtype) OPERATOR(pg_catalog.=) 'c' OR EXISTS ("
	" SELECT FROM pg_catalog.pg_cast AS k"
	" WHERE k.castsource OPERATOR(pg_catalog.=) COALESCE(e.oid, up.oid)"
	" AND k.casttarget OPERATOR(pg_catalog.=) 'pg_catalog.json'::pg_catalog.regtype),"
	" e.oid IS NOT NULL, up.filled"
	" FROM up LEFT JOIN pg_catalog.pg_type AS e ON up.typcategory OPERATOR(pg_catalog.=) 'A'"
	" AND e.oid OPERATOR(pg_catalog.=) up.typelem"
	" WHERE up.typtype OPERATOR(pg_catalog.<>) 'd'";

enum { COL_TYPE, COL_PLAIN, COL_OWN_JSON, COL_ARRAY, COL_FILLED };

static bool yes(const PGresult *r, int column)
{
	return *PQgetvalue(r, 0, column) == 't';
}

static bool look(PGconn *db, const char *schema, const char *table, const char *column,
		 struct shape *ret_shape)
{
	const char *const params[] = {schema, table, column};
	PGresult *r = PQexecParams(db, column_sql, 3, NULL, params, NULL, NULL, 0);
	bool ok = PQresultStatus(r) == PGRES_TUPLES_OK && PQntuples(r) == 1;

	if (ok)
		*ret_shape = shape_of(PQgetvalue(r, 0, COL_TYPE), yes(r, COL_PLAIN),
				      yes(r, COL_OWN_JSON), yes(r, COL_ARRAY), !yes(r, COL_FILLED));
	else if (PQresultStatus(r) != PGRES_TUPLES_OK) {
		fputs("pgherald: ", stderr);
		shown_print_lines(stderr, PQerrorMessage(db));
	} else
		fprintf(stderr, "pgherald: there is no column %s in %s.%s\n", column, schema,
			table);
	PQclear(r);
	return ok;
}

bool columns_look(PGconn *db, struct topics *t)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct watch *w = t->items[i].watch;

		for (size_t k = 0; k < w->n_fields; k++) {
			const struct watch_field *f = &w->fields[k];
			struct shape *s = &t->items[i].shapes[k];

			if (!(f->join_table
				      ? look(db, f->join_schema, f->join_table, f->join_label, s)
				      : look(db, w->schema, w->table, f->column, s)))
				return false;
			if (f->join_table) /* nothing may be referred to, or it is gone */
				s->nullable = true;
			if (f->cast != CAST_NONE)
				*s = (struct shape){.kind = SHAPE_STRING, .nullable = s->nullable};
		}
	}
	return true;
}
