/* SPDX-License-Identifier: PostgreSQL
 * See upgrade.h. Whatever takes a lock on a table of the application, or waits for one, must not
 * come in here: not the look at its columns, not a GRANT that changes nothing (newer servers lock
 * the table for it), and not the server's own look at the body of an SQL function. */
#include "config.h"
#include "dba/upgrade.h"

#include <string.h>

#include "dba/install.h"
#include "dba/rights.h"
#include "dba/statement.h"
#include "sql/render.h"

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

/* Statements about functions: made, dropped, granted, stamped, by which role, and its right to. */
static bool about_functions(const struct statement *s)
{
	static const char *const words[] = {
		"CREATE OR REPLACE FUNCTION ",
		"DROP FUNCTION ",
		"REVOKE ALL ON FUNCTION ",
		"GRANT EXECUTE ON FUNCTION ",
		"SET LOCAL ROLE ",
		"RESET ROLE",
		"GRANT CREATE ON SCHEMA pgherald ",
		"REVOKE CREATE ON SCHEMA pgherald ",
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (statement_begins(s, words[i]))
			return true;
	return statement_begins(s, "DO ") &&
	       (memmem(s->bare.p, s->bare.len, "COMMENT ON FUNCTION", 19) ||
		memmem(s->bare.p, s->bare.len, "ALTER FUNCTION", 14) ||
		memmem(s->bare.p, s->bare.len, "DROP FUNCTION", 13));
}

static void render(struct buf *out, const char *title, const char *piece, unsigned schema_version)
{
	struct objects r = {0};
	struct statement s;

	objects_read(&r, piece);
	buf_str(out, "-- pgherald " PACKAGE_VERSION ": functions of ");
	for (; *title; title++) /* it is in a comment, and has a table's name in it */
		buf_char(out, (unsigned char)*title < 0x20 ? '?' : *title);
	buf_str(out, "\n-- Locks: none on any table.\n");
	script_begin(out);
	buf_str(out, "SET LOCAL check_function_bodies = off;  -- it would lock the tables they "
		     "name\n\n");
	rights_grant_missing(out, &r);
	buf_str(out, "\nSET LOCAL ROLE pgherald_owner;\n");
	add_guard(out, schema_version);
	buf_str(out, "RESET ROLE;\n");
	while (statement_next(&piece, &s)) {
		if (!about_functions(&s))
			continue;
		buf_char(out, '\n');
		buf_add(out, s.all.p, s.all.len);
		buf_char(out, '\n');
	}
	buf_str(out, "COMMIT;\n");
	objects_free(&r);
}

bool upgrade_script(struct script *s, const struct conf *conf, const char *only)
{
	struct script pieces = {0};
	struct objects core = {0};
	bool ok = install_pieces(&pieces, conf, only);

	if (ok)
		objects_read(&core, pieces.items[0].sql);
	for (size_t i = 0; ok && i < pieces.n; i++) {
		autobuf sql = {0};

		buf_init(&sql, 2 * RENDER_MAX);
		render(&sql, pieces.items[i].title, pieces.items[i].sql, core.schema_version);
		script_add(s, xstrdup(pieces.items[i].title), buf_steal(&sql));
	}
	objects_free(&core);
	script_free(&pieces);
	return ok;
}
