/* SPDX-License-Identifier: PostgreSQL
 * See prune.h. */
#include "config.h"
#include "dba/prune.h"

#include <inttypes.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "dba/connection.h"

enum { BATCH_ROWS = 5000 };

/* One batch: how many rows it deleted. */
static bool one_batch(PGconn *db, const char *sql, uint64_t *ret_deleted)
{
	PGresult *res = PQexec(db, sql);
	bool came = PQresultStatus(res) == PGRES_TUPLES_OK && PQntuples(res) == 1;
	const char *n = came ? PQgetvalue(res, 0, 0) : "";
	bool ok = num_u64(n, strlen(n), ret_deleted);

	if (!ok && came)
		fputs("pgherald: another session is pruning at this moment\n", stderr);
	else if (!ok)
		fprintf(stderr, "pgherald: cannot prune: %s", PQerrorMessage(db));
	PQclear(res);
	return ok;
}

static void say_what_is_left(PGconn *db)
{
	PGresult *res =
		PQexec(db, "SELECT count(*), pg_catalog.min(j.at), (SELECT m.floor_txid FROM "
			   "pgherald.meta AS m) FROM pgherald.journal AS j");

	if (PQresultStatus(res) == PGRES_TUPLES_OK && PQntuples(res) == 1) {
		printf("%s rows are left", PQgetvalue(res, 0, 0));
		if (!PQgetisnull(res, 0, 1))
			printf(", the oldest of %s", PQgetvalue(res, 0, 1));
		printf("; floor %s\n", PQgetvalue(res, 0, 2));
	}
	PQclear(res);
}

int prune_run(const struct conf *conf, const char *conninfo, bool apply, bool json)
{
	autofree char *age = conf->retention_ms ? xasprintf("interval '%" PRIu64 " milliseconds'",
							    conf->retention_ms)
						: xstrdup("NULL");
	autofree char *sql = xasprintf("SELECT pgherald.prune(%s, %d, %" PRIu64 ")", age,
				       BATCH_ROWS, conf->journal_size);
	uint64_t deleted = 1, total = 0, batches = 0;
	PGconn *db;
	bool ok = true;

	(void)json;
	if (!apply) {
		printf("-- Locks: rows of the journal that are deleted. Again until it gives "
		       "0.\n%s;\n",
		       sql);
		return 0;
	}
	db = connection_open(conninfo);
	while (db && deleted && (ok = one_batch(db, sql, &deleted))) {
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
