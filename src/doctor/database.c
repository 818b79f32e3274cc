/* SPDX-License-Identifier: PostgreSQL
 * See visit.h: the configuration's file, and the database as the daemon sees it. */
#include "config.h"

#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/mem.h"
#include "base/num.h"
#include "dba/check.h"
#include "dba/connection.h"
#include "doctor/visit.h"

enum { NOTIFY_MS = 2000, CLOCK_S = 2 };

/* The value of a keyword in [database] conninfo, as a copy, or NULL. */
static char *conninfo_value(const char *conninfo, const char *keyword)
{
	PQconninfoOption *all = PQconninfoParse(conninfo, NULL);
	char *value = NULL;

	for (PQconninfoOption *p = all; p && p->keyword && !value; p++)
		if (!strcmp(p->keyword, keyword) && p->val && *p->val)
			value = xstrdup(p->val);
	PQconninfoFree(all);
	return value;
}

void visit_conf(struct visit *v)
{
	autofree char *password = conninfo_value(v->conf->conninfo, "password");
	struct stat st;

	visit_say(v, "Configuration %s: %zu watches, %zu routes, %zu roles.", v->conf_path,
		  v->conf->n_watches, v->conf->n_routes, v->conf->n_roles);
	if (password && stat(v->conf_path, &st) == 0 && st.st_mode & S_IROTH)
		visit_find(v, "conf-readable", v->conf_path, "it is readable for everybody",
			   "chmod o= it, with the daemon's group as its group");
}

static bool on_this_machine(PGconn *db)
{
	const char *host = PQhost(db), *address = PQhostaddr(db);

	return !host || !*host || *host == '/' || *host == '@' || !strncmp(address, "127.", 4) ||
	       !strcmp(address, "::1");
}

/* Whether a notification comes, within NOTIFY_MS. */
static bool hears(PGconn *db)
{
	struct pollfd fd = {.fd = PQsocket(db), .events = POLLIN};
	PGnotify *note;
	bool heard;

	for (int i = 0; i < 2 && !(note = PQnotifies(db)); i++) {
		if (!i)
			poll(&fd, 1, NOTIFY_MS);
		PQconsumeInput(db);
	}
	note = note ? note : PQnotifies(db);
	heard = note != NULL;
	PQfreemem(note);
	return heard;
}

/* Whether notifications do not come through: neither its own, nor those of another connection,
 * which is asked where there is a pooler: that gives the same session again to whoever is alone.
 * Another one that has to wait for a session says nothing. */
static bool is_deaf(const struct visit *v, PGconn *db, bool pooled)
{
	const char *const keys[] = {"connect_timeout", "dbname", NULL};
	const char *const values[] = {"2", v->conf->conninfo, NULL};
	PGconn *other = NULL;
	bool deaf;

	PQclear(PQexec(db, "LISTEN pgherald_doctor"));
	PQclear(PQexec(db, "NOTIFY pgherald_doctor"));
	deaf = !hears(db);
	if (!deaf && pooled)
		other = PQconnectdbParams(keys, values, 1);
	if (other && PQsendQuery(other, "NOTIFY pgherald_doctor"))
		deaf = !hears(db) && PQconsumeInput(other) && !PQisBusy(other);
	PQfinish(other);
	PQclear(PQexec(db, "UNLISTEN pgherald_doctor"));
	return deaf;
}

/* PgBouncer and its kin make up a process id of their own. */
static void look_for_pooler(struct visit *v, PGconn *db)
{
	PGresult *r = PQexec(db, "SELECT pg_catalog.pg_backend_pid()");
	autofree char *ours = xasprintf("%d", PQbackendPID(db));
	bool pooled = PQntuples(r) == 1 && strcmp(PQgetvalue(r, 0, 0), ours) != 0;

	PQclear(r);
	if (is_deaf(v, db, pooled))
		visit_find(v, "pooler-transaction", "conninfo", "a notification did not come back",
			   "let [database] conninfo name the server itself");
	else if (pooled)
		visit_find(v, "pooler", "conninfo", "the server's session has another number",
			   NULL);
}

static void look_at_clock(struct visit *v, PGconn *db)
{
	PGresult *r = PQexec(db, "SELECT pg_catalog.floor(pg_catalog.date_part('epoch',"
				 " pg_catalog.clock_timestamp()))::bigint");
	const char *theirs = PQntuples(r) == 1 ? PQgetvalue(r, 0, 0) : "";
	uint64_t s = 0;
	bool known = num_u64(theirs, strlen(theirs), &s);
	long long difference = (long long)s - (long long)time(NULL);
	autofree char *text = NULL;

	PQclear(r);
	if (!known || llabs(difference) <= CLOCK_S)
		return;
	text = xasprintf("its clock is %lld s %s this machine's", llabs(difference),
			 difference > 0 ? "ahead of" : "behind");
	visit_find(v, "clock", "database", text, "let both machines follow a time server (chrony)");
}

/* The answer to a question that gives one value, as a copy; NULL when there was none. */
static char *one(PGconn *db, const char *sql)
{
	PGresult *r = PQexec(db, sql);
	char *value =
		PQntuples(r) == 1 && !PQgetisnull(r, 0, 0) ? xstrdup(PQgetvalue(r, 0, 0)) : NULL;

	PQclear(r);
	return value;
}

static bool is_standby(PGconn *db)
{
	autofree char *answer = one(db, "SELECT pg_catalog.pg_is_in_recovery()");

	return answer && *answer == 't';
}

static void look_at_login(struct visit *v, PGconn *db)
{
	autofree char *is = one(db, "SELECT session_user"), *fix = NULL;

	if (!is || !strcmp(is, v->conf->login))
		return;
	fix = xasprintf("user=%s in [database] conninfo; or login = %s, and pgherald sql install",
			v->conf->login, is);
	visit_find(v, "login-other", is,
		   "the daemon connects as this role, and login names another", fix);
}

static void look_at_connection(struct visit *v, PGconn *db)
{
	visit_say(v, "Database %s as %s%s%s: PostgreSQL %d.", PQdb(db), PQuser(db),
		  on_this_machine(db) ? "" : " at ", on_this_machine(db) ? "" : PQhost(db),
		  PQserverVersion(db) / 10000);
	if (!on_this_machine(db) && !PQsslInUse(db))
		visit_find(v, "login-plain", PQhost(db), "the connection has no TLS",
			   "sslmode=verify-full and sslrootcert=… in [database] conninfo");
	look_at_login(v, db);
	if (is_standby(db))
		visit_find(v, "login-standby", PQdb(db),
			   "this is a standby, and no primary was found",
			   "let [database] conninfo name the primary, or all servers: "
			   "host=first,second");
	else
		look_for_pooler(v, db);
	look_at_clock(v, db);
}

/* As the daemon goes there: of several servers to the primary, unless it is told otherwise. Where
 * there is only a standby, that. */
static PGconn *connect_as_daemon(const struct visit *v, const char *user)
{
	static const char name[] = "PGTARGETSESSIONATTRS";
	PGconn *db = connection_open_as(v->conf->conninfo, user), *primary;

	if (!db || !is_standby(db) || getenv(name))
		return db;
	setenv(name, PQlibVersion() < 140000 ? "read-write" : "primary", 1);
	primary = connection_open_as(v->conf->conninfo, user);
	unsetenv(name);
	if (!primary)
		return db;
	PQfinish(db);
	return primary;
}

/* What mends it that there is no connection. Whether a server answers does not depend on its
 * language; one that does only when nobody asks for its certificate has one that is not believed.
 */
static const char *remedy(const char *conninfo)
{
	const char *const keys[] = {"dbname", "sslmode", "sslrootcert", NULL};
	const char *const values[] = {conninfo, "prefer", "", NULL};

	switch (PQping(conninfo)) {
	case PQPING_REJECT:
		return "wait until the server has started; its log says what it does";
	case PQPING_OK:
		return "pgherald sql install --apply makes the role; its way in is a line of "
		       "pg_hba.conf, and the database's name stands in [database] conninfo. Run "
		       "this as the daemon's system user, or as root";
	case PQPING_NO_RESPONSE:
		if (PQpingParams(keys, values, 1) != PQPING_NO_RESPONSE)
			return "sslrootcert=… in [database] conninfo with the certificate of "
			       "whoever "
			       "has signed the server's, and host=… as that names it";
		return "start PostgreSQL; or mend host and port in [database] conninfo, or what "
		       "stands "
		       "between the machines";
	default:
		return "mend [database] conninfo";
	}
}

void visit_database(struct visit *v)
{
	autofree char *user = conninfo_value(v->conf->conninfo, "user");
	PGconn *db = connect_as_daemon(v, user ? user : v->conf->login), *asks = db;

	if (db)
		look_at_connection(v, db);
	else
		visit_find(v, "login-refused", "[database] conninfo",
			   "no connection (the reason stands above)", remedy(v->conf->conninfo));
	if (v->dsn)
		asks = connection_open_admin(v->dsn);
	if (asks && !check_look(&v->report, asks, v->conf))
		visit_blind(v, "database", "what is wanted there cannot be worked out");
	else if (!asks)
		visit_blind(v, "database", "no connection to look over");
	if (asks != db)
		PQfinish(asks);
	PQfinish(db);
}
