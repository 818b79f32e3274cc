/* SPDX-License-Identifier: PostgreSQL
 * See prune.h. */
#include "config.h"
#include "dba/prune.h"

#include <inttypes.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/num.h"
#include "base/shown.h"
#include "dba/connection.h"
#include "dba/script.h"
#include "sql/render.h"

enum { BATCH_ROWS = 5000 };

/* A transaction of its own, as steps of a script are. What is called must still be a function that
 * has its owner's rights, and not those of whoever prunes. */
static void add_batch(struct buf *out, const struct conf *conf, bool printed)
{
	script_begin(out);
	buf_str(out, "DO $pgherald$\n"
		     "BEGIN\n"
		     "  IF NOT coalesce((SELECT p.prosecdef FROM pg_proc AS p WHERE p.oid = "
		     "to_regprocedure(\n"
		     "                     'pgherald.prune(interval, int, bigint)')), false) THEN\n"
		     "    RAISE EXCEPTION 'pgherald.prune is missing, or not SECURITY DEFINER'\n"
		     "      USING HINT = 'pgherald sql check';\n"
		     "  END IF;\n"
		     "END\n"
		     "$pgherald$;\n");
	if (conf->retention_ms)
		buf_printf(out, "SELECT pgherald.prune(interval '%" PRIu64 " milliseconds'",
			   conf->retention_ms);
	else
		buf_str(out, "SELECT pgherald.prune(NULL");
	buf_printf(out, ", %d, %" PRIu64 ");\n", BATCH_ROWS, conf->journal_size);
	if (printed)
		buf_str(out, "COMMIT;\n");
}

static bool failed(PGconn *db)
{
	fputs("pgherald: cannot prune: ", stderr);
	shown_print_lines(stderr, PQerrorMessage(db));
	return false;
}

/* One batch: how many rows it deleted. */
static bool one_batch(PGconn *db, const char *sql, uint64_t *ret_deleted)
{
	PGresult *res = PQexec(db, sql), *end;
	bool came = PQresultStatus(res) == PGRES_TUPLES_OK && PQntuples(res) == 1;
	const char *n = came ? PQgetvalue(res, 0, 0) : "";
	bool ok = num_u64(n, strlen(n), ret_deleted);

	if (!ok && came)
		fputs("pgherald: another session is pruning at this moment\n", stderr);
	else if (!ok)
		(void)failed(db);
	PQclear(res);
	end = PQexec(db, ok ? "COMMIT" : "ROLLBACK");
	if (ok && PQresultStatus(end) != PGRES_COMMAND_OK)
		ok = failed(db);
	PQclear(end);
	return ok;
}

static void say_what_is_left(PGconn *db)
{
	PGresult *res = PQexec(
		db, "BEGIN READ ONLY; SET LOCAL search_path = pg_catalog, pg_temp;"
		    "SELECT count(*), min(j.at), (SELECT m.floor_txid FROM pgherald.meta AS m)"
		    " FROM pgherald.journal AS j");

	if (PQresultStatus(res) == PGRES_TUPLES_OK && PQntuples(res) == 1) {
		printf("%s rows are left", PQgetvalue(res, 0, 0));
		if (!PQgetisnull(res, 0, 1))
			printf(", the oldest of %s", PQgetvalue(res, 0, 1));
		printf("; floor %s\n", PQgetvalue(res, 0, 2));
	}
	PQclear(res);
	PQclear(PQexec(db, "ROLLBACK"));
}

int prune_run(const struct conf *conf, const char *conninfo, bool apply, bool json)
{
	uint64_t deleted = 1, total = 0, batches = 0;
	autobuf sql = {0};
	PGconn *db;
	bool ok = true;

	(void)json;
	buf_init(&sql, RENDER_MAX);
	if (!apply)
		buf_str(&sql, "-- Locks: rows of the journal that are deleted, and the one of "
			      "pgherald.meta. Again until it\n-- gives 0.\n");
	add_batch(&sql, conf, !apply);
	if (!apply) {
		fputs(buf_cstr(&sql), stdout);
		return 0;
	}
	db = connection_open_admin(conninfo);
	while (db && deleted && (ok = one_batch(db, buf_cstr(&sql), &deleted))) {
		total += deleted;
		batches += deleted > 0;
	}
	if (db && ok) {
		printf("deleted %" PRIu64 " rows in %" PRIu64 " batches\n", total, batches);
		say_what_is_left(db);
	}
	PQfinish(db);
	return db && ok ? 0 : 1;
}
