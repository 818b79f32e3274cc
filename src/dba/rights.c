/* SPDX-License-Identifier: PostgreSQL
 * See rights.h. */
#include "config.h"
#include "dba/rights.h"

#include <string.h>

#include "dba/script.h"
#include "dba/statement.h"
#include "sql/ident.h"

/* VALUES of what the owner role reads; false when it reads nothing. */
static bool add_values(struct buf *out, const struct objects *r, const struct objects *except)
{
	const char *separator = "FROM (VALUES ";

	for (size_t i = 0; i < r->n_rights; i++) {
		const struct object_right *w = &r->rights[i];

		if (strcmp(w->role, "pgherald_owner") != 0 ||
		    (except && objects_has_right(except, w)))
			continue;
		buf_str(out, separator);
		buf_char(out, '(');
		ident_add_literal(out, w->object);
		buf_str(out, ", ");
		if (w->column)
			ident_add_literal(out, w->column);
		else
			buf_str(out, "NULL");
		buf_char(out, ')');
		separator = ",\n                 ";
	}
	if (*separator == 'F')
		return false;
	buf_str(out, ") AS g (object, col)\n");
	return true;
}

void rights_grant_missing(struct buf *out, const struct objects *r)
{
	autobuf values = {0};

	buf_init(&values, STATEMENT_MAX);
	if (!add_values(&values, r, NULL))
		return;
	buf_str(out,
		"-- What the functions read besides the rows of the statement, where it is not "
		"granted yet.\n"
		"DO $pgherald$\n"
		"DECLARE\n"
		"  r record;\n"
		"BEGIN\n"
		"  FOR r IN SELECT g.object, g.col, a.attnum, a.attrelid\n"
		"           ");
	buf_str(out, buf_cstr(&values));
	buf_str(out,
		"           LEFT JOIN pg_catalog.pg_attribute AS a\n"
		"             ON a.attrelid = pg_catalog.to_regclass(g.object)\n"
		"             AND a.attname = g.col AND NOT a.attisdropped\n"
		"  LOOP\n"
		"    IF r.col IS NULL THEN\n"
		"      IF NOT pg_catalog.has_schema_privilege(\n"
		"           'pgherald_owner', pg_catalog.to_regnamespace(r.object), 'USAGE') THEN\n"
		"        EXECUTE 'GRANT USAGE ON SCHEMA ' || r.object || ' TO pgherald_owner';\n"
		"      END IF;\n"
		"    ELSIF r.attnum IS NULL THEN\n"
		"      RAISE EXCEPTION 'there is no column % of %, which a function reads', r.col, "
		"r.object;\n"
		"    ELSIF NOT pg_catalog.has_column_privilege('pgherald_owner', r.attrelid, "
		"r.attnum, "
		"'SELECT') THEN\n"
		"      EXECUTE pg_catalog.format('GRANT SELECT (%I) ON %s TO pgherald_owner', "
		"r.col, "
		"r.object);\n"
		"    END IF;\n"
		"  END LOOP;\n"
		"END\n"
		"$pgherald$;\n");
}

bool rights_revoke(struct buf *out, const char *topic, const struct objects *gone,
		   const struct objects *stays)
{
	autobuf values = {0};

	buf_init(&values, STATEMENT_MAX);
	if (!add_values(&values, gone, stays))
		return false;
	buf_printf(out,
		   "-- pgherald " PACKAGE_VERSION ": what only watch %s had to read\n"
		   "-- Locks: ACCESS SHARE at most.\n",
		   topic);
	script_begin(out);
	buf_str(out, "\nDO $pgherald$\n"
		     "DECLARE\n"
		     "  r record;\n"
		     "BEGIN\n"
		     "  FOR r IN SELECT g.object, g.col\n"
		     "           ");
	buf_str(out, buf_cstr(&values));
	buf_str(out,
		"           WHERE CASE WHEN g.col IS NULL\n"
		"                 THEN pg_catalog.to_regnamespace(g.object) IS NOT NULL\n"
		"                 ELSE EXISTS (SELECT FROM pg_catalog.pg_attribute AS a\n"
		"                              WHERE a.attrelid = "
		"pg_catalog.to_regclass(g.object)\n"
		"                                AND a.attname = g.col AND NOT a.attisdropped) "
		"END\n"
		"             AND EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = "
		"'pgherald_owner')\n"
		"  LOOP\n"
		"    IF r.col IS NULL THEN\n"
		"      EXECUTE 'REVOKE USAGE ON SCHEMA ' || r.object || ' FROM pgherald_owner';\n"
		"    ELSE\n"
		"      EXECUTE pg_catalog.format('REVOKE SELECT (%I) ON %s FROM pgherald_owner', "
		"r.col, r.object);\n"
		"    END IF;\n"
		"  END LOOP;\n"
		"END\n"
		"$pgherald$;\n"
		"COMMIT;\n");
	return true;
}
