/* SPDX-License-Identifier: PostgreSQL
 * See connection.h. */
#include "config.h"
#include "dba/connection.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/shown.h"

/* With a lock_timeout of 2 s and pauses of up to 2 s: about half a minute on a busy table. */
enum { MAX_TRIES = 10, MIN_PAUSE_MS = 100, MAX_PAUSE_MS = 2000 };

/* Jitter, so that two installers do not meet again at the same lock. */
static void pause_before(unsigned try)
{
	unsigned noise = 0, most = (unsigned)MIN_PAUSE_MS << (try < 5 ? try : 5), ms;
	struct timespec ts;

	if (most > MAX_PAUSE_MS)
		most = MAX_PAUSE_MS;
	if (getrandom(&noise, sizeof(noise), 0) != (ssize_t)sizeof(noise))
		noise = try;
	ms = MIN_PAUSE_MS + noise % most;
	ts = (struct timespec){(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
	nanosleep(&ts, NULL);
}

/* Another transaction was in the way: a lock, a deadlock, or the same role being made elsewhere. */
static bool worth_retrying(const char *sqlstate)
{
	static const char *const passing[] = {"55P03", "40P01", "40001", "42710", "23505"};

	for (size_t i = 0; sqlstate && i < sizeof(passing) / sizeof(*passing); i++)
		if (strcmp(sqlstate, passing[i]) == 0)
			return true;
	return false;
}

static void print_part(const char *what, const char *text)
{
	if (!text)
		return;
	fprintf(stderr, "\n  %s: ", what);
	shown_print_lines(stderr, text);
}

/* The server's message without its line break, then detail and hint where it gave them. */
static void print_failure(const struct step *step, PGconn *db, const PGresult *res)
{
	const char *message = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
	const char *detail = PQresultErrorField(res, PG_DIAG_MESSAGE_DETAIL);
	const char *hint = PQresultErrorField(res, PG_DIAG_MESSAGE_HINT);
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);

	if (!message)
		message = PQerrorMessage(db);
	fprintf(stderr, "pgherald: %s: ", step->title);
	shown_print(stderr, message, strcspn(message, "\n"));
	print_part("detail", detail);
	print_part("hint", hint);
	fputc('\n', stderr);
	if (state && strcmp(state, "42501") == 0)
		fputs("  hint: this needs a role that owns the watched tables and may make roles;\n"
		      "  name it with --dsn, the [database] conninfo is the daemon's own\n",
		      stderr);
}

/* The outcome of everything the text held: the first error, or the last result. */
static PGresult *run(PGconn *db, const char *sql)
{
	PGresult *res = PQexec(db, sql);

	if (PQtransactionStatus(db) != PQTRANS_IDLE && PQstatus(db) == CONNECTION_OK)
		PQclear(PQexec(db, "ROLLBACK"));
	return res;
}

static bool apply_one(PGconn *db, const struct step *step)
{
	for (unsigned try = 1;; try++) {
		PGresult *res = run(db, step->sql);
		bool ok = PQresultStatus(res) == PGRES_COMMAND_OK ||
			  PQresultStatus(res) == PGRES_TUPLES_OK;
		bool again = !ok && try < MAX_TRIES &&
			     worth_retrying(PQresultErrorField(res, PG_DIAG_SQLSTATE));

		if (!ok && !again)
			print_failure(step, db, res);
		PQclear(res);
		if (ok)
			printf("%s: done\n", step->title);
		if (!again)
			return ok;
		printf("%s: in use by another transaction, try %u of %d\n", step->title, try + 1,
		       MAX_TRIES);
		fflush(stdout);
		pause_before(try);
	}
}

static void on_notice(void *arg, const char *message)
{
	(void)arg;
	fputs("pgherald: ", stderr);
	shown_print_lines(stderr, message);
}

PGconn *connection_open(const char *conninfo)
{
	/* What stands before dbname can be overridden by the conninfo. */
	const char *const keys[] = {"client_encoding", "dbname", "fallback_application_name", NULL};
	const char *const values[] = {"UTF8", conninfo, "pgherald sql", NULL};
	PGconn *db = PQconnectdbParams(keys, values, 1);

	PQsetNoticeProcessor(db, on_notice, NULL);
	if (PQstatus(db) == CONNECTION_OK) {
		/* What we read and write of the journal must be no writer's conflict; and who says
		 * --apply means it where to read only is the default of a database or role. */
		PQclear(PQexec(db, "SET default_transaction_isolation = 'read committed';"
				   "SET default_transaction_read_only = off"));
		return db;
	}
	fputs("pgherald: cannot connect: ", stderr);
	shown_print_lines(stderr, PQerrorMessage(db));
	PQfinish(db);
	return NULL;
}

/* Whether a host is named anywhere: then nobody asks who the system user is. */
static bool is_remote(const char *conninfo)
{
	PQconninfoOption *all = PQconninfoParse(conninfo, NULL);
	const char *host = getenv("PGHOST");
	bool remote = (host && *host && *host != '/') || getenv("PGHOSTADDR");

	for (PQconninfoOption *p = all; p && p->keyword; p++)
		if (p->val && *p->val &&
		    (!strcmp(p->keyword, "hostaddr") ||
		     (!strcmp(p->keyword, "host") && *p->val != '/')))
			remote = true;
	PQconninfoFree(all);
	return remote;
}

PGconn *connection_open_as(const char *conninfo, const char *system_user)
{
	const struct passwd *p = NULL;
	uid_t self = geteuid();
	PGconn *db;

	if (self == 0 && !is_remote(conninfo))
		p = getpwnam(system_user);
	if (p && seteuid(p->pw_uid))
		p = NULL;
	db = connection_open(conninfo);
	if (p && seteuid(self))
		abort(); /* root may */
	return db;
}

/* The value that a conninfo has for it, as a copy, or NULL. */
static char *value_of(const char *conninfo, const char *keyword)
{
	PQconninfoOption *all = PQconninfoParse(conninfo, NULL);
	char *value = NULL;

	for (PQconninfoOption *p = all; p && p->keyword && !value; p++)
		if (!strcmp(p->keyword, keyword) && p->val)
			value = xstrdup(p->val);
	PQconninfoFree(all);
	return value;
}

PGconn *connection_open_admin(const char *conninfo)
{
	static const char *const places[] = {"host", "hostaddr", "service"};
	autofree char *user = value_of(conninfo, "user");
	const char *who = user ? user : getenv("PGUSER");
	bool placed = getenv("PGHOST");

	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		autofree char *place = value_of(conninfo, places[i]);

		placed = placed || place;
	}
	return placed ? connection_open(conninfo)
		      : connection_open_as(conninfo, who ? who : "postgres");
}

bool connection_apply(const struct script *s, const char *conninfo)
{
	PGconn *db = connection_open_admin(conninfo);
	bool ok = db;

	for (size_t i = 0; ok && i < s->n; i++)
		ok = apply_one(db, &s->items[i]);
	PQfinish(db);
	return ok;
}
