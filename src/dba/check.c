/* SPDX-License-Identifier: PostgreSQL
 * See check.h: runs the table and shows what it found. It changes nothing, takes no lock on a table
 * of the application, and works with the daemon's own rights. */
#include "config.h"
#include "dba/check.h"

#include <libpq-fe.h>
#include <stdio.h>

#include "dba/connection.h"
#include "dba/expected.h"
#include "dba/report.h"

enum { WANT_MAX = 64 << 20 };

/* Names come out qualified and ours are found whatever the session's search_path is; LOCAL, so that
 * a pooled connection is given back as it was. */
static const char begin[] = "BEGIN READ ONLY; SET LOCAL search_path = pg_catalog, pg_temp;"
			    "SET LOCAL lock_timeout = '2s'; SET LOCAL statement_timeout = '60s'";

static PGresult *ask(PGconn *db, const struct check *c, const char *want)
{
	PGresult *res = PQexec(db, begin);

	if (PQresultStatus(res) == PGRES_COMMAND_OK) {
		PQclear(res);
		res = PQexecParams(db, c->sql, 1, NULL, &want, NULL, NULL, 0);
	}
	PQclear(PQexec(db, "ROLLBACK"));
	return res;
}

/* False when the later checks make no sense. */
static bool run_one(PGconn *db, const struct check *c, const char *want, struct report *r)
{
	PGresult *res = ask(db, c, want);
	int rows = PQntuples(res);

	if (PQresultStatus(res) != PGRES_TUPLES_OK) {
		const char *why = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);

		report_blind(r, c->id, why ? why : PQerrorMessage(db));
	}
	for (int i = 0; i < rows; i++)
		report_add(r, &(struct finding){
				      .id = c->id,
				      .severity = c->severity,
				      .object = PQgetvalue(res, i, 0),
				      .message = PQgetvalue(res, i, 1),
				      .means = c->means,
				      .fix = PQgetisnull(res, i, 2) ? NULL : PQgetvalue(res, i, 2),
			      });
	PQclear(res);
	return PQstatus(db) == CONNECTION_OK && !(c->stop && (rows || r->n_blind));
}

bool check_look(struct report *r, PGconn *db, const struct conf *conf)
{
	autobuf want = {0};

	buf_init(&want, WANT_MAX);
	if (!expected_json(&want, conf, PQbackendPID(db)))
		return false;
	for (unsigned i = 0; i < n_checks; i++)
		if (!run_one(db, &checks[i], buf_cstr(&want), r))
			break;
	return true;
}

int check_run(const struct conf *conf, const char *conninfo, bool apply, bool json)
{
	PGconn *db = connection_open_admin(conninfo);
	struct report r;
	bool looked;
	int status;

	(void)apply;
	if (!db)
		return 2;
	report_begin(&r, json);
	looked = check_look(&r, db, conf);
	PQfinish(db);
	status = looked ? report_end(&r) : 2;
	if (!looked)
		buf_free(&r.out);
	return status;
}
