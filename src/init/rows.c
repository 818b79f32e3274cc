/* SPDX-License-Identifier: PostgreSQL
 * See rows.h. Who owns a table can put code there at any time: between a look at the catalog and a
 * query, too. So a lock is held meanwhile that keeps him from it, and no writer. */
#include "config.h"
#include "init/rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "sql/ident.h"

enum { SQL_MAX = 16384 };

/* A role that could become each of those whose rights the session has gets nothing by its code. */
#define TRUSTED(owner)                                                                             \
	"pg_catalog.pg_has_role(" owner ", session_user, 'USAGE')"                                 \
	" AND pg_catalog.pg_has_role(" owner ", current_user, 'USAGE')"

#define PARTS                                                                                      \
	"WITH RECURSIVE part AS ("                                                                 \
	" SELECT t.name::pg_catalog.regclass::oid AS oid FROM unnest(ARRAY["

#define OF_PARTS                                                                                   \
	"]::text[]) AS t (name)"                                                                   \
	" UNION"                                                                                   \
	" SELECT i.inhrelid FROM part JOIN pg_inherits AS i ON i.inhparent = part.oid)"

/* Whose tables they are, of those who are not trusted. */
static const char owners_sql[] =
	OF_PARTS " SELECT DISTINCT c.relowner::regrole::text FROM part"
		 " JOIN pg_class AS c ON c.oid = part.oid"
		 " WHERE NOT (" TRUSTED("c.relowner") ") ORDER BY 1 LIMIT 1";

/* Whose code they have, of those; what is no table is the code of its owner. The finding
 * foreign-code of sql/check/tables.sql has the same. */
static const char code_sql[] = OF_PARTS
	" SELECT u.owner::regrole::text FROM part"
	" JOIN pg_class AS c ON c.oid = part.oid"
	" CROSS JOIN LATERAL ("
	" SELECT c.relowner WHERE c.relkind NOT IN ('r', 'p')"
	" UNION ALL"
	" SELECT p.proowner"
	" FROM (SELECT 'pg_class'::regclass, c.oid"
	" UNION ALL"
	" SELECT 'pg_class'::regclass, i.indexrelid FROM pg_index AS i WHERE i.indrelid = c.oid"
	" UNION ALL"
	" SELECT 'pg_constraint'::regclass, k.oid FROM pg_constraint AS k WHERE k.conrelid = c.oid"
	" UNION ALL"
	" SELECT 'pg_attrdef'::regclass, v.oid FROM pg_attrdef AS v WHERE v.adrelid = c.oid"
	" UNION ALL"
	" SELECT 'pg_statistic_ext'::regclass, s.oid FROM pg_statistic_ext AS s WHERE s.stxrelid = "
	"c.oid"
	" ) AS x (class, oid)"
	" JOIN pg_depend AS d ON d.classid = x.class AND d.objid = x.oid"
	" LEFT JOIN pg_operator AS o ON d.refclassid = 'pg_operator'::regclass AND o.oid = "
	"d.refobjid"
	" JOIN pg_proc AS p"
	" ON p.oid = CASE d.refclassid WHEN 'pg_proc'::regclass THEN d.refobjid ELSE o.oprcode END"
	" ) AS u (owner)"
	" WHERE NOT (" TRUSTED("u.owner") ") ORDER BY 1 LIMIT 1";

static void add_names(struct buf *out, const struct catalog *c, const size_t *tables, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		buf_str(out, i ? ", " : "");
		ident_add_table(out, c->tables[tables[i]].schema, c->tables[tables[i]].name);
	}
}

static void add_literals(struct buf *out, const struct catalog *c, const size_t *tables, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		autobuf name = {0};

		buf_init(&name, SQL_MAX);
		add_names(&name, c, &tables[i], 1);
		buf_str(out, i ? ", " : "");
		ident_add_literal(out, buf_cstr(&name));
	}
}

static bool lock(PGconn *db, const char *names, const char *mode)
{
	autofree char *sql = xasprintf("LOCK TABLE %s IN %s MODE", names, mode);
	PGresult *r = PQexec(db, sql);
	bool ok = PQresultStatus(r) == PGRES_COMMAND_OK;

	PQclear(r);
	return ok;
}

/* The first role that the second half of a statement finds in these tables: NULL when there is
 * none; "somebody" when that cannot be said. The caller frees it. */
static char *first_role(PGconn *db, const char *literals, const char *rest)
{
	autofree char *sql = xasprintf(PARTS "%s%s", literals, rest);
	PGresult *r = PQexec(db, sql);
	char *role = NULL;

	if (PQresultStatus(r) != PGRES_TUPLES_OK)
		role = xstrdup("somebody");
	else if (PQntuples(r))
		role = xstrdup(PQgetvalue(r, 0, 0));
	PQclear(r);
	return role;
}

/* Whose code would run, now and as long as the transaction holds its locks. */
static char *whose_code(PGconn *db, const char *names, const char *literals)
{
	char *role;

	if (!lock(db, names, "ACCESS SHARE"))
		return xstrdup("somebody");
	role = first_role(db, literals, owners_sql);
	if (!role || !lock(db, names, "SHARE UPDATE EXCLUSIVE"))
		return role;
	free(role);
	return first_role(db, literals, code_sql);
}

PGresult *rows_read(PGconn *db, const struct catalog *c, const size_t *tables, size_t n,
		    const char *sql)
{
	autobuf names = {0}, literals = {0};
	autofree char *role = NULL;
	PGresult *r = NULL;

	buf_init(&names, SQL_MAX);
	buf_init(&literals, SQL_MAX);
	add_names(&names, c, tables, n);
	add_literals(&literals, c, tables, n);
	PQclear(PQexec(db, "SAVEPOINT look"));
	role = whose_code(db, buf_cstr(&names), buf_cstr(&literals));
	if (!role)
		r = PQexec(db, sql);
	PQclear(PQexec(db, "ROLLBACK TO look"));
	if (role)
		fprintf(stderr,
			"pgherald: rows of %s are not looked at: code of %s could run with the "
			"rights of this session.\n  As the tables' owner, with user= in --dsn, it "
			"finds more.\n",
			buf_cstr(&names), role);
	if (r && PQresultStatus(r) == PGRES_TUPLES_OK)
		return r;
	PQclear(r);
	return NULL;
}
