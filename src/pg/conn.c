/* SPDX-License-Identifier: PostgreSQL
 * See conn.h. Must not know what the queries are for. */
#include "config.h"
#include "pg/conn_parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/log.h"
#include "base/mem.h"

#define BACKOFF_MIN_MS	100
#define BACKOFF_MAX_MS	5000  /* while there is no server to connect to … */
#define BACKOFF_LONG_MS 30000 /* … and while one is there that does not help */
#define CONNECT_MS	10000 /* one attempt */
#define LIMIT_MS	30000 /* one statement, where nothing else was said */

/* Nothing of the database's or the role's settings may change what our statements mean (until this
 * one has been run, whoever owns the database says what = is), and no idle limit may end a
 * listener. They are planned once per connection, when the journal may be empty: so only index
 * look-ups are left to choose from. Unknown settings on old servers are skipped by the WHERE. And
 * a schema by our name may be anybody's where nothing has been installed: what is asked there would
 * be his code, as a role that may have rights in other databases of the cluster. While there is
 * none, one could come before the next question; and uninstall takes away the right to use it
 * before it takes the schema, so that who may use it now is not surprised by another one. */
static const char setup_sql[] =
	"SELECT pg_catalog.set_config(s.name, s.value, false), (SELECT r.rolname"
	" FROM pg_catalog.pg_namespace AS n"
	" JOIN pg_catalog.pg_roles AS r ON r.oid OPERATOR(pg_catalog.=) n.nspowner"
	" WHERE n.nspname OPERATOR(pg_catalog.=) 'pgherald'"
	" AND r.rolname OPERATOR(pg_catalog.<>) 'pgherald_owner' AND NOT r.rolsuper),"
	" (SELECT CASE WHEN pg_catalog.bool_and(pg_catalog.has_schema_privilege(n.oid, 'USAGE'))"
	" THEN NULL WHEN pg_catalog.count(n.oid) OPERATOR(pg_catalog.>) 0 THEN 'closed'"
	" ELSE 'none' END"
	" FROM pg_catalog.pg_namespace AS n WHERE n.nspname OPERATOR(pg_catalog.=) 'pgherald')"
	" FROM (VALUES ('search_path', 'pg_catalog, pg_temp'), ('timezone', 'UTC'), "
	"('statement_timeout', '30s'),"
	" ('idle_session_timeout', '0'), ('idle_in_transaction_session_timeout', '10s'),"
	" ('transaction_timeout', '0'), ('lock_timeout', '0'),"
	" ('jit', 'off'), ('enable_seqscan', 'off'), ('default_transaction_read_only', 'off'),"
	" ('default_transaction_isolation', 'read committed'),"
	/* what is answered as published outlives a crash of the server */
	" ('synchronous_commit', CASE WHEN pg_catalog.current_setting('synchronous_commit')"
	" OPERATOR(pg_catalog.=) 'off' THEN 'on'"
	" ELSE pg_catalog.current_setting('synchronous_commit') END),"
	" ('plan_cache_mode', 'force_generic_plan'), ('enable_mergejoin', 'off'),"
	" ('enable_hashjoin', 'off'),"
	" ('client_encoding', 'UTF8')) AS s(name, value)"
	" JOIN pg_catalog.pg_settings AS p ON p.name OPERATOR(pg_catalog.=) s.name";

enum { SETUP_VALUE, SETUP_STRANGER, SETUP_LACK };

static void on_ready(void *arg, uint32_t events);
static void on_timer(void *arg);

#define WARNING_MS 10000 /* a server's warnings are in the log at most this often */

/* What the functions in the database have to say: pgherald.tell() for one, of what it cannot tell.
 */
static void on_notice(void *arg, const PGresult *r)
{
	struct conn *c = arg;
	const char *severity = PQresultErrorField(r, PG_DIAG_SEVERITY_NONLOCALIZED);
	const char *text = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
	const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
	uint64_t now = loop_now_ms(c->loop);

	if (severity && !strcmp(severity, "FATAL"))
		snprintf(c->last_words, sizeof(c->last_words), "%s", state ? state : "");
	if (!severity || strcmp(severity, "WARNING") != 0)
		return;
	c->n_warnings++;
	if (c->n_warnings > 1 && now < c->warned_ms + WARNING_MS)
		return;
	c->warned_ms = now;
	log_warn("database (%s): %s (warnings so far: %" PRIu64 ")", c->name,
		 text ? text : "a warning", c->n_warnings);
}

void conn_watch(struct conn *c, uint32_t events)
{
	int fd = PQsocket(c->pg);

	/* While it connects libpq moves on to the next address: on another socket, which as a rule
	 * has the number of the one that it has closed. */
	if (c->events && (c->state == CONN_CONNECTING || c->fd.fd != fd)) {
		loop_del(c->loop, &c->fd);
		c->events = 0;
	}
	if (events == c->events)
		return;
	c->fd = (struct loop_fd){.fd = fd, .ready = on_ready, .arg = c};
	if (c->events)
		loop_mod(c->loop, &c->fd, events);
	else if (!loop_add(c->loop, &c->fd, events)) {
		log_error("database (%s): cannot watch the connection: %m", c->name);
		return;
	}
	c->events = events;
}

static void hang_up(struct conn *c)
{
	if (c->events)
		loop_del(c->loop, &c->fd);
	c->events = 0;
	PQclear(c->came);
	c->came = NULL;
	PQfinish(c->pg);
	c->pg = NULL;
	loop_timer_clear(c->loop, &c->timer);
	c->busy = c->preparing = c->limiting = c->doubtful = c->forgetting = false;
	c->n_prepared = 0;
	c->session_ms = 0;
}

static uint64_t jittered(uint64_t ms)
{
	uint32_t r = 0;

	if (getrandom(&r, sizeof(r), GRND_NONBLOCK) != sizeof(r))
		r = 0;
	return ms / 2 + r % (ms + 1);
}

/* The first word of an outage is in the log, and each other one; what comes again is counted. */
static void complain(struct conn *c, const char *why, uint64_t wait_ms)
{
	c->n_failures++;
	if (!strncmp(c->complaint, why, sizeof(c->complaint) - 1)) {
		log_debug("database (%s): %s; next attempt in %" PRIu64 " ms", c->name, why,
			  wait_ms);
		return;
	}
	snprintf(c->complaint, sizeof(c->complaint), "%s", why);
	log_warn("database (%s): %s; trying again", c->name, why);
}

void conn_go_down(struct conn *c, const char *why)
{
	bool was_ready = c->ready;
	uint64_t wait = jittered(c->backoff_ms);
	uint64_t max = was_ready ? BACKOFF_LONG_MS : BACKOFF_MAX_MS;

	complain(c, why, wait);
	c->ready = false;
	hang_up(c);
	c->state = CONN_WAIT;
	loop_timer_set(c->loop, &c->timer, wait);
	c->backoff_ms = c->backoff_ms * 2 > max ? max : c->backoff_ms * 2;
	conn_fail_queries(c);
	if (was_ready)
		c->on_state(c->arg, false);
}

void conn_go_down_pg(struct conn *c)
{
	char line[256];

	conn_go_down(c, conn_first_line(PQerrorMessage(c->pg), line, sizeof(line)));
}

static void connect_now(struct conn *c)
{
	/* What stands before dbname can be overridden by the conninfo, what stands after cannot.
	 * "read-write" would refuse a server where read only is the default of a database or role;
	 * only that of libpq before 14 knows no better. */
	static const char *const keys[] = {
		"target_session_attrs",	     "keepalives_idle",
		"keepalives_interval",	     "keepalives_count",
		"tcp_user_timeout",	     "dbname",
		"fallback_application_name", NULL,
	};
	const char *const values[] = {
		PQlibVersion() < 140000 ? "read-write" : "primary",
		"10",
		"5",
		"3",
		"15000",
		c->conninfo,
		"pgherald",
		NULL,
	};

	c->state = CONN_CONNECTING;
	*c->last_words = '\0';
	c->pg = PQconnectStartParams(keys, values, 1);
	if (!c->pg || PQstatus(c->pg) == CONNECTION_BAD) {
		if (c->pg)
			conn_go_down_pg(c);
		else
			conn_go_down(c, "out of memory");
		return;
	}
	PQsetNoticeReceiver(c->pg, on_notice, c);
	loop_timer_set(c->loop, &c->timer, CONNECT_MS);
	conn_watch(c, EPOLLOUT);
}

/* The session that gave no answer may go on for ever: somebody's code in it may let no cancel pass.
 * Ours is the same role, and may end it. */
static void end_stuck(struct conn *c)
{
	static const char sql[] = "SELECT pg_catalog.pg_terminate_backend(a.pid) FROM "
				  "pg_catalog.pg_stat_activity AS a"
				  " WHERE a.pid OPERATOR(pg_catalog.=) $1::pg_catalog.int4"
				  " AND a.usename OPERATOR(pg_catalog.=) current_user";
	char pid[16];
	const char *const params[] = {pid};

	if (!c->stuck_pid)
		return;
	snprintf(pid, sizeof(pid), "%d", c->stuck_pid);
	c->stuck_pid = 0;
	conn_query(c, sql, 1, params, NULL, NULL);
}

/* Why nothing is asked in this database, or NULL; the caller frees. */
static char *why_not(const PGresult *r)
{
	if (!PQntuples(r))
		return NULL;
	if (!PQgetisnull(r, 0, SETUP_STRANGER))
		return xasprintf("schema pgherald belongs to %s, and nothing is asked there (see "
				 "pgherald sql check)",
				 PQgetvalue(r, 0, SETUP_STRANGER));
	if (PQgetisnull(r, 0, SETUP_LACK))
		return NULL;
	if (!strcmp(PQgetvalue(r, 0, SETUP_LACK), "none"))
		return xstrdup("there is no schema pgherald; pgherald sql install --apply makes "
			       "what is missing");
	return xstrdup("this role may not use schema pgherald; pgherald sql install "
		       "--apply gives it its rights, if it is the configuration's login");
}

static void on_setup(void *arg, const PGresult *r)
{
	struct conn *c = arg;
	autofree char *why = NULL;

	if (!r)
		return; /* conn_go_down() has said why */
	if (PQresultStatus(r) != PGRES_TUPLES_OK) {
		conn_go_down(c, conn_error(r));
		return;
	}
	why = why_not(r);
	if (why) {
		conn_go_down(c, why);
		return;
	}
	c->ready = true;
	c->session_ms = LIMIT_MS;
	if (!*c->complaint)
		log_info("database (%s): connected to server version %d", c->name,
			 PQserverVersion(c->pg));
	end_stuck(c);
	c->on_state(c->arg, true);
}

static void continue_connecting(struct conn *c)
{
	switch (PQconnectPoll(c->pg)) {
	case PGRES_POLLING_READING:
		conn_watch(c, EPOLLIN);
		break;
	case PGRES_POLLING_WRITING:
		conn_watch(c, EPOLLOUT);
		break;
	case PGRES_POLLING_OK:
		c->state = CONN_UP;
		loop_timer_clear(c->loop, &c->timer);
		if (PQsetnonblocking(c->pg, 1)) {
			conn_go_down_pg(c);
			break;
		}
		conn_watch(c, EPOLLIN);
		c->limit_ms = c->session_ms = LIMIT_MS;
		conn_send(c, NULL, setup_sql, 0, NULL, on_setup, c);
		break;
	default:
		conn_go_down_pg(c);
	}
}

static void on_ready(void *arg, uint32_t events)
{
	struct conn *c = arg;

	if (c->state == CONN_CONNECTING) {
		continue_connecting(c);
		return;
	}
	if (events & EPOLLOUT) {
		int r = PQflush(c->pg);

		if (r < 0) {
			conn_go_down_pg(c);
			return;
		}
		if (!r)
			conn_watch(c, EPOLLIN);
	}
	if (!PQconsumeInput(c->pg)) {
		conn_go_down_pg(c);
		return;
	}
	conn_read_results(c);
}

static void on_timer(void *arg)
{
	struct conn *c = arg;

	if (c->state == CONN_UP)
		c->stuck_pid = PQbackendPID(c->pg);
	if (c->state == CONN_WAIT)
		connect_now(c);
	else
		conn_go_down(c, c->state == CONN_CONNECTING ? "no connection in time"
							    : "no answer in time");
}

void conn_start(struct conn *c, struct loop *loop, const char *name, const char *conninfo,
		void (*on_state)(void *arg, bool up),
		void (*on_notify)(void *arg, const char *channel, const char *payload), void *arg)
{
	*c = (struct conn){.loop = loop,
			   .name = name,
			   .conninfo = xstrdup(conninfo),
			   .backoff_ms = BACKOFF_MIN_MS,
			   .limit_ms = LIMIT_MS,
			   .on_state = on_state,
			   .on_notify = on_notify,
			   .arg = arg};
	list_init(&c->queries);
	c->timer = (struct loop_timer){.fire = on_timer, .arg = c};
	c->state = CONN_WAIT;
	loop_timer_set(loop, &c->timer, 0);
}

void conn_stop(struct conn *c)
{
	c->ready = false;
	c->state = CONN_OFF;
	hang_up(c);
	conn_fail_queries(c);
	free(c->conninfo);
	c->conninfo = NULL;
}

void conn_restart(struct conn *c, const char *conninfo, const char *why)
{
	if (conninfo) {
		free(c->conninfo);
		c->conninfo = xstrdup(conninfo);
	}
	c->backoff_ms = 1;
	if (c->state == CONN_WAIT)
		loop_timer_set(c->loop, &c->timer, 0);
	else
		conn_go_down(c, why);
	c->backoff_ms = BACKOFF_MIN_MS;
}

void conn_fail(struct conn *c, const char *why)
{
	if (c->state != CONN_WAIT)
		conn_go_down(c, why);
}

void conn_worked(struct conn *c)
{
	if (c->n_failures)
		log_info("database (%s): works again after %" PRIu64 " failure%s", c->name,
			 c->n_failures, c->n_failures == 1 ? "" : "s");
	c->n_failures = 0;
	*c->complaint = '\0';
	c->backoff_ms = BACKOFF_MIN_MS;
}

bool conn_up(const struct conn *c)
{
	return c->ready;
}
