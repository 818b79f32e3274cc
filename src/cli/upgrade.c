/* SPDX-License-Identifier: PostgreSQL
 * See upgrade.h. Whatever takes a lock on a table of the application, or waits for one, must not
 * come in here: not the look at its columns, not a GRANT that changes nothing (newer servers lock
 * the table for it), and not the server's own look at the body of an SQL function. */
#include "config.h"
#include "cli/upgrade.h"

#include <string.h>

#include "cli/lex.h"
#include "sql/ident.h"

static void add_begin(struct buf *out)
{
	buf_str(out, "BEGIN;\n"
		     "SET LOCAL lock_timeout = '2s';\n"
		     "SET LOCAL client_min_messages = warning;\n");
}

static void add_guard(struct buf *out, unsigned schema_version)
{
	buf_printf(
		out,
		"DO $pgherald$\n"
		"BEGIN\n"
		"  IF pg_catalog.to_regclass('pgherald.meta') IS NULL THEN\n"
		"    RAISE EXCEPTION 'pgherald is not in this database'\n"
		"      USING HINT = 'pgherald sql install puts it there';\n"
		"  END IF;\n"
		"  IF (SELECT schema_version FROM pgherald.meta) > %u THEN\n"
		"    RAISE EXCEPTION 'schema pgherald is of version %%, newer than this program, "
		"which knows version %u',\n"
		"      (SELECT schema_version FROM pgherald.meta);\n"
		"  END IF;\n"
		"  IF (SELECT schema_version FROM pgherald.meta) < %u THEN\n"
		"    RAISE EXCEPTION 'schema pgherald is of version %%, older than this program''s "
		"%u',\n"
		"      (SELECT schema_version FROM pgherald.meta)\n"
		"      USING HINT = 'pgherald sql install brings the tables up to date as well';\n"
		"  END IF;\n"
		"END\n"
		"$pgherald$;\n",
		schema_version, schema_version, schema_version, schema_version);
}

/* VALUES of what the owner role reads; false when it reads nothing. */
static bool add_values(struct buf *out, const struct rendered *r, const struct rendered *except)
{
	const char *separator = "FROM (VALUES ";

	for (size_t i = 0; i < r->n_rights; i++) {
		const struct rendered_right *w = &r->rights[i];

		if (strcmp(w->role, "pgherald_owner") != 0 ||
		    (except && rendered_has_right(except, w)))
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

static void add_missing_grants(struct buf *out, const struct rendered *r)
{
	autobuf values = {0};

	buf_init(&values, LEX_MAX);
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

/* Statements about functions: made, dropped, granted, stamped. */
static bool about_functions(const struct statement *s)
{
	static const char *const words[] = {"CREATE OR REPLACE FUNCTION ", "DROP FUNCTION ",
					    "REVOKE ALL ON FUNCTION ",
					    "GRANT EXECUTE ON FUNCTION "};

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (statement_begins(s, words[i]))
			return true;
	return statement_begins(s, "DO ") &&
	       (memmem(s->bare.p, s->bare.len, "COMMENT ON FUNCTION", 19) ||
		memmem(s->bare.p, s->bare.len, "ALTER FUNCTION", 14) ||
		memmem(s->bare.p, s->bare.len, "DROP FUNCTION", 13));
}

void upgrade_render(struct buf *out, const char *title, const char *piece, unsigned schema_version)
{
	struct rendered r = {0};
	struct statement s;

	rendered_read(&r, piece);
	buf_str(out, "-- pgherald " PACKAGE_VERSION ": functions of ");
	for (; *title; title++) /* it is in a comment, and has a table's name in it */
		buf_char(out, (unsigned char)*title < 0x20 ? '?' : *title);
	buf_str(out, "\n-- Locks: none on any table.\n");
	add_begin(out);
	buf_str(out, "SET LOCAL check_function_bodies = off;  -- it would lock the tables they "
		     "name\n\n");
	add_missing_grants(out, &r);
	buf_str(out, "\nSET LOCAL ROLE pgherald_owner;\n");
	add_guard(out, schema_version);
	while (lex_statement(&piece, &s)) {
		if (!about_functions(&s))
			continue;
		buf_char(out, '\n');
		buf_add(out, s.all.p, s.all.len);
		buf_char(out, '\n');
	}
	buf_str(out, "\nRESET ROLE;\nCOMMIT;\n");
	rendered_free(&r);
}

bool upgrade_render_revoke(struct buf *out, const char *topic, const struct rendered *gone,
			   const struct rendered *stays)
{
	autobuf values = {0};

	buf_init(&values, LEX_MAX);
	if (!add_values(&values, gone, stays))
		return false;
	buf_printf(out,
		   "-- pgherald " PACKAGE_VERSION ": what only watch %s had to read\n"
		   "-- Locks: ACCESS SHARE at most.\n",
		   topic);
	add_begin(out);
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
