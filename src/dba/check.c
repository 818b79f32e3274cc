/* SPDX-License-Identifier: PostgreSQL
 * See check.h: runs the table and shows what it found. It changes nothing, takes no lock on a table
 * of the application, and works with the daemon's own rights. */
#include "config.h"
#include "dba/check.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dba/connection.h"
#include "dba/expected.h"
#include "wire/json.h"

enum { WIDTH = 80, WANT_MAX = 64 << 20 };

struct report {
	bool json;
	unsigned n, n_bad; /* findings; those that are no mere notice */
	unsigned n_blind;  /* questions without an answer */
	struct buf out;	   /* JSON, which is printed at the end */
};

static void print_wrapped(const char *text)
{
	while (*text) {
		size_t len = strlen(text), cut = strcspn(text, "\n");

		if (cut > WIDTH)
			for (cut = WIDTH; cut > WIDTH / 2 && text[cut] != ' '; cut--)
				;
		if (cut > len)
			cut = len;
		printf("  %.*s\n", (int)cut, text);
		text += cut;
		text += strspn(text, " \n");
	}
}

static void add_text(struct buf *out, const char *key, const char *value)
{
	buf_printf(out, "%s\"%s\":", out->data[out->len - 1] == '{' ? "" : ",", key);
	if (value)
		json_string(out, value, strlen(value));
	else
		buf_str(out, "null");
}

static void add_finding(struct report *r, const struct check *c, const char *object,
			const char *message, const char *fix)
{
	r->n++;
	if (strcmp(c->severity, "notice") != 0)
		r->n_bad++;
	if (r->json) {
		buf_str(&r->out, r->n > 1 ? ",{" : "{");
		add_text(&r->out, "id", c->id);
		add_text(&r->out, "severity", c->severity);
		add_text(&r->out, "object", object);
		add_text(&r->out, "message", message);
		add_text(&r->out, "means", c->means);
		add_text(&r->out, "fix", fix);
		buf_char(&r->out, '}');
		return;
	}
	printf("%s %s: %s: %s\n", c->severity, c->id, object, message);
	print_wrapped(c->means);
	if (fix)
		printf("  Fix: %s\n", fix);
	putchar('\n');
}

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

		fprintf(stderr, "pgherald: could not check %s: %s\n", c->id,
			why ? why : PQerrorMessage(db));
		r->n_blind++;
	}
	for (int i = 0; i < rows; i++)
		add_finding(r, c, PQgetvalue(res, i, 0), PQgetvalue(res, i, 1),
			    PQgetisnull(res, i, 2) ? NULL : PQgetvalue(res, i, 2));
	PQclear(res);
	return PQstatus(db) == CONNECTION_OK && !(c->stop && (rows || r->n_blind));
}

static void finish(struct report *r)
{
	bool clean = !r->n_bad && !r->n_blind;

	if (r->json)
		printf("{\"clean\":%s,\"findings\":[%s]}\n", clean ? "true" : "false",
		       buf_cstr(&r->out));
	else
		printf("%s: %u to mend, %u to know, %u not checked\n",
		       clean ? "clean" : "not clean", r->n_bad, r->n - r->n_bad, r->n_blind);
}

int check_run(const struct conf *conf, const char *conninfo, bool apply, bool json)
{
	PGconn *db = connection_open(conninfo);
	struct report r = {.json = json};
	autobuf want = {0};

	(void)apply;
	if (!db)
		return 2;
	buf_init(&want, WANT_MAX);
	buf_init(&r.out, WANT_MAX);
	if (!expected_json(&want, conf, PQbackendPID(db))) {
		PQfinish(db);
		return 2;
	}
	for (unsigned i = 0; i < n_checks; i++)
		if (!run_one(db, &checks[i], buf_cstr(&want), &r))
			break;
	PQfinish(db);
	finish(&r);
	buf_free(&r.out);
	return r.n_bad ? 1 : r.n_blind ? 2 : 0;
}
