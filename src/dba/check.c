/* SPDX-License-Identifier: PostgreSQL
 * See check.h: runs the table and shows what it found. It changes nothing, takes no lock on a table
 * of the application, and works with the daemon's own rights. */
#include "config.h"
#include "dba/check.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "dba/connection.h"
#include "dba/expected.h"
#include "dba/report.h"

enum { WANT_MAX = 64 << 20, SQL_MAX = 1 << 20 };

/* Names come out qualified and ours are found whatever the session's search_path is; LOCAL, so that
 * a pooled connection is given back as it was. To compile what looks at a catalog takes ten times
 * as long as to do it. */
static const char begin[] =
	"BEGIN READ ONLY; SET LOCAL search_path = pg_catalog, pg_temp; SET LOCAL jit = off;"
	"SET LOCAL lock_timeout = '2s'; SET LOCAL statement_timeout = '60s'";

/* One statement of n checks, whose rows have the number of theirs in front: to plan what is wanted,
 * and to work it out, takes longer than all that is asked of it. */
static PGresult *ask(PGconn *db, const struct check *c, unsigned n, const char *want)
{
	autobuf sql = {0};
	PGresult *res;

	buf_init(&sql, SQL_MAX);
	buf_str(&sql, check_want);
	for (unsigned i = 0; i < n; i++) {
		bool has_with = c[i].query[0] == ',';

		buf_printf(&sql,
			   "%s SELECT %u, c.object::text, c.message::text, c.fix::text FROM (%s",
			   i ? "UNION ALL" : "", i, has_with ? "WITH RECURSIVE" : "");
		buf_str(&sql, c[i].query + has_with);
		buf_str(&sql, ") AS c (object, message, fix)\n");
	}
	res = PQexec(db, begin);
	if (PQresultStatus(res) == PGRES_COMMAND_OK) {
		PQclear(res);
		res = PQexecParams(db, buf_cstr(&sql), 1, NULL, &want, NULL, NULL, 0);
	}
	PQclear(PQexec(db, "ROLLBACK"));
	return res;
}

/* What was found of the one with this number; how much. */
static unsigned add_findings(struct report *r, const struct check *c, unsigned number,
			     PGresult *res)
{
	unsigned found = 0;

	for (int i = 0; i < PQntuples(res); i++) {
		uint64_t its;

		if (!num_u64(PQgetvalue(res, i, 0), strlen(PQgetvalue(res, i, 0)), &its) ||
		    its != number)
			continue;
		report_add(r, &(struct finding){
				      .id = c->id,
				      .severity = c->severity,
				      .object = PQgetvalue(res, i, 1),
				      .message = PQgetvalue(res, i, 2),
				      .means = c->means,
				      .fix = PQgetisnull(res, i, 3) ? NULL : PQgetvalue(res, i, 3),
			      });
		found++;
	}
	return found;
}

/* Checks of which only the last one stops. False when the later ones make no sense. */
static bool run(PGconn *db, const struct check *c, unsigned n, const char *want, struct report *r)
{
	PGresult *res = ask(db, c, n, want);
	bool answered = PQresultStatus(res) == PGRES_TUPLES_OK;
	unsigned found = 0;

	if (!answered && n == 1) {
		const char *why = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);

		report_blind(r, c->id, why ? why : PQerrorMessage(db));
	}
	for (unsigned i = 0; i < n && answered; i++)
		found = add_findings(r, &c[i], i, res);
	PQclear(res);
	if (answered || n == 1)
		return PQstatus(db) == CONNECTION_OK && !(c[n - 1].stop && (found || r->n_blind));
	/* Which of them is it that cannot be answered? */
	for (unsigned i = 0; i < n; i++)
		if (!run(db, &c[i], 1, want, r))
			return false;
	return true;
}

bool check_look(struct report *r, PGconn *db, const struct conf *conf)
{
	autobuf want = {0};

	buf_init(&want, WANT_MAX);
	if (!expected_json(&want, conf, PQbackendPID(db)))
		return false;
	for (unsigned i = 0, n; i < n_checks; i += n) {
		for (n = 1; i + n < n_checks && !checks[i + n - 1].stop;)
			n++;
		if (!run(db, &checks[i], n, buf_cstr(&want), r))
			break;
	}
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
