/* SPDX-License-Identifier: PostgreSQL
 * See conn.h. Must not know what the queries are for. */
#include "config.h"
#include "pg/conn.h"

#include <assert.h>
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
#define GRACE_MS	5000  /* past that and the limit the connection counts as dead */

struct query {
	struct list node;
	const char *name; /* of a prepared statement, or NULL; a literal */
	bool again;	  /* to be sent once more, without preparing */
	uint64_t limit_ms;
	const char *sql;
	conn_result_fn *done;
	void *arg;
	size_t n;
	const char *params[];
};

/* Nothing of the database's or the role's settings may change what our statements mean (until this
 * one has been run, whoever owns the database says what = is), and no idle limit may end a
 * listener. They are planned once per connection, when the journal may be empty: so only index
 * look-ups are left to choose from. Unknown settings on old servers are skipped by the WHERE. */
static const char setup_sql[] =
	"SELECT pg_catalog.set_config(s.name, s.value, false)"
	" FROM (VALUES ('search_path', 'pg_catalog, pg_temp'), ('timezone', 'UTC'), "
	"('statement_timeout', '30s'),"
	" ('idle_session_timeout', '0'), ('idle_in_transaction_session_timeout', '10s'),"
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

static void on_ready(void *arg, uint32_t events);
static void on_timer(void *arg);

/* Copies with the NUL; what follows it. */
static char *keep(char *to, const char *text)
{
	size_t size = strlen(text) + 1;

	memcpy(to, text, size);
	return to + size;
}

/* A query is one piece of memory: its parameters, their texts, and its own when it has no name. */
static struct query *query_new(const struct conn *c, const char *name, const char *sql, size_t n,
			       const char *const *params, conn_result_fn *done, void *arg)
{
	size_t size = sizeof(struct query) + n * sizeof(char *) + (name ? 0 : strlen(sql) + 1);
	struct query *q;
	char *at;

	for (size_t i = 0; i < n; i++)
		size += params[i] ? strlen(params[i]) + 1 : 0;
	q = xcalloc(1, size);
	at = (char *)(q->params + n);
	for (size_t i = 0; i < n; i++) {
		q->params[i] = params[i] ? at : NULL;
		at = params[i] ? keep(at, params[i]) : at;
	}
	q->sql = name ? sql : at;
	if (!name)
		(void)keep(at, sql);
	q->limit_ms = c->limit_ms;
	q->name = name;
	q->n = n;
	q->done = done;
	q->arg = arg;
	return q;
}

/* The first line of a message, in `buf`: libpq's end in a newline and may have several. */
static const char *first_line(const char *message, char *buf, size_t size)
{
	size_t len = message ? strcspn(message, "\n") : 0;

	if (!len)
		return "no reason given";
	if (len >= size)
		len = size - 1;
	memcpy(buf, message, len);
	buf[len] = '\0';
	return buf;
}

const char *conn_error(const PGresult *r)
{
	static _Thread_local char line[256];

	if (!r)
		return "connection lost";
	return first_line(PQresultErrorMessage(r), line, sizeof(line));
}

bool conn_error_is(const PGresult *r, const char *states)
{
	const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);

	while (state && *states) {
		size_t len = strcspn(states, " ");

		if (!strncmp(state, states, len))
			return true;
		states += len + (states[len] == ' ');
	}
	return false;
}

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

static void watch(struct conn *c, uint32_t events)
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

/* Every waiting query hears that nothing will come. */
static void fail_queries(struct conn *c)
{
	while (!list_empty(&c->queries)) {
		struct query *q = LIST_ENTRY(c->queries.next, struct query, node);

		list_remove(&q->node);
		if (q->done)
			q->done(q->arg, NULL);
		free(q);
	}
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

static void go_down(struct conn *c, const char *why)
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
	fail_queries(c);
	if (was_ready)
		c->on_state(c->arg, false);
}

static void go_down_pg(struct conn *c)
{
	char line[256];

	go_down(c, first_line(PQerrorMessage(c->pg), line, sizeof(line)));
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
			go_down_pg(c);
		else
			go_down(c, "out of memory");
		return;
	}
	PQsetNoticeReceiver(c->pg, on_notice, c);
	loop_timer_set(c->loop, &c->timer, CONNECT_MS);
	watch(c, EPOLLOUT);
}

/* Whether it failed because the statement is not, or already, known to the server session: then
 * somebody between us and the server gives us another session each time. */
static bool not_ours(const PGresult *r)
{
	const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);

	return state && (!strcmp(state, "26000") || !strcmp(state, "42P05"));
}

static bool prepared(const struct conn *c, const char *name)
{
	for (size_t i = 0; i < c->n_prepared; i++)
		if (!strcmp(c->prepared[i], name))
			return true;
	return false;
}

/* Sends a query, or first what sets its limit or prepares its statement on this connection. */
static bool send_query(struct conn *c, const struct query *q)
{
	const char *const *params = q->params;
	char limit[60];

	if (c->doubtful) {
		c->doubtful = false;
		c->forgetting = true;
		c->n_prepared = 0;
		return PQsendQuery(c->pg, "DEALLOCATE ALL");
	}
	if (q->limit_ms != c->session_ms) {
		snprintf(limit, sizeof(limit), "SET statement_timeout = %" PRIu64, q->limit_ms);
		c->limiting = true;
		return PQsendQuery(c->pg, limit);
	}
	if (!q->name || c->no_prepare)
		return PQsendQueryParams(c->pg, q->sql, (int)q->n, NULL, params, NULL, NULL, 0);
	if (prepared(c, q->name))
		return PQsendQueryPrepared(c->pg, q->name, (int)q->n, params, NULL, NULL, 0);
	c->preparing = true;
	return PQsendPrepare(c->pg, q->name, q->sql, (int)q->n, NULL);
}

static void send_next(struct conn *c)
{
	struct query *q;

	if (c->busy || list_empty(&c->queries))
		return;
	q = LIST_ENTRY(c->queries.next, struct query, node);
	if (!send_query(c, q)) {
		go_down_pg(c);
		return;
	}
	c->busy = true;
	loop_timer_set(c->loop, &c->timer, q->limit_ms + GRACE_MS);
	switch (PQflush(c->pg)) {
	case 0:
		watch(c, EPOLLIN);
		break;
	case 1:
		watch(c, EPOLLIN | EPOLLOUT);
		break;
	default:
		go_down_pg(c);
	}
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

static void on_setup(void *arg, const PGresult *r)
{
	struct conn *c = arg;

	if (!r)
		return; /* go_down() has said why */
	if (PQresultStatus(r) != PGRES_TUPLES_OK) {
		go_down(c, conn_error(r));
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
		watch(c, EPOLLIN);
		break;
	case PGRES_POLLING_WRITING:
		watch(c, EPOLLOUT);
		break;
	case PGRES_POLLING_OK:
		c->state = CONN_UP;
		loop_timer_clear(c->loop, &c->timer);
		if (PQsetnonblocking(c->pg, 1)) {
			go_down_pg(c);
			break;
		}
		watch(c, EPOLLIN);
		c->limit_ms = c->session_ms = LIMIT_MS;
		list_push(&c->queries, &query_new(c, NULL, setup_sql, 0, NULL, on_setup, c)->node);
		send_next(c);
		break;
	default:
		go_down_pg(c);
	}
}

/* Whether the server takes its leave: the administrator ends the session, or the server stops. */
static bool ends_session(const PGresult *r)
{
	const char *severity = PQresultErrorField(r, PG_DIAG_SEVERITY_NONLOCALIZED);

	return severity && (!strcmp(severity, "FATAL") || !strcmp(severity, "PANIC"));
}

/* One result of the query under way; the callee's. It is no answer yet: the server sends it before
 * it commits (protocol-flow, "Extended Query": the transaction ends at Sync), and what fails then
 * comes as a second result, which counts. */
static void take_result(struct conn *c, PGresult *r)
{
	char line[256];

	if (!ends_session(r)) {
		PQclear(c->came);
		c->came = r;
		return;
	}
	first_line(PQresultErrorMessage(r), line, sizeof(line));
	PQclear(r);
	go_down(c, line); /* who asked hears of the connection */
}

/* What the step under way has come to, now that the server is ready for the next one. */
static void hand_out(struct conn *c, struct query *q)
{
	conn_result_fn *done = q->done;

	c->result = c->came;
	c->came = NULL;
	if (c->forgetting) {
		if (PQresultStatus(c->result) != PGRES_COMMAND_OK)
			log_debug("database (%s): DEALLOCATE: %s", c->name, conn_error(c->result));
	} else if (c->limiting) {
		if (PQresultStatus(c->result) != PGRES_COMMAND_OK)
			log_debug("database (%s): statement_timeout: %s", c->name,
				  conn_error(c->result));
		c->session_ms = q->limit_ms; /* or the connection's own limit has to do */
	} else if (q->name && !c->no_prepare && not_ours(c->result)) {
		log_warn("database (%s): prepared statements get lost, as behind a pooler in "
			 "transaction mode: doing without",
			 c->name);
		c->no_prepare = q->again = true;
	} else if (c->preparing && PQresultStatus(c->result) == PGRES_COMMAND_OK) {
		assert(c->n_prepared < CONN_PREPARED_MAX);
		c->prepared[c->n_prepared++] = q->name;
	} else { /* one result per query: they are all single statements */
		c->doubtful |=
			q->name && !c->no_prepare && PQresultStatus(c->result) != PGRES_TUPLES_OK;
		q->done = NULL;
		if (done)
			done(q->arg, c->result);
	}
	PQclear(c->result);
	c->result = NULL;
}

/* One step of the query under way is over: what follows it. */
static void next_step(struct conn *c, struct query *q)
{
	if (c->limiting || c->forgetting || (c->preparing && prepared(c, q->name)) ||
	    q->again) { /* now itself */
		q->again = c->busy = c->preparing = c->limiting = c->forgetting = false;
		send_next(c);
		return;
	}
	list_remove(&q->node);
	free(q);
	c->busy = c->preparing = false;
	loop_timer_clear(c->loop, &c->timer);
	send_next(c);
}

/* Hands out every result and notification that has come. Anything called may take the connection
 * down: c->pg is looked at again each time. A notification that stands behind a result in what has
 * been read is seen only once the result is taken: so they are asked for after each; and is handed
 * out behind it. */
static void read_results(struct conn *c)
{
	PGconn *pg = c->pg;

	while (c->pg == pg) {
		PGnotify *note = c->came ? NULL : PQnotifies(pg);
		struct query *q;
		PGresult *r;

		if (note) {
			if (c->on_notify && c->ready)
				c->on_notify(c->arg, note->relname, note->extra);
			PQfreemem(note);
			continue;
		}
		if (!c->busy || PQisBusy(pg))
			return;
		r = PQgetResult(pg);
		q = LIST_ENTRY(c->queries.next, struct query, node);
		if (r) {
			take_result(c, r);
			continue;
		}
		hand_out(c, q);
		if (c->pg == pg)
			next_step(c, q);
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
			go_down_pg(c);
			return;
		}
		if (!r)
			watch(c, EPOLLIN);
	}
	if (!PQconsumeInput(c->pg)) {
		go_down_pg(c);
		return;
	}
	read_results(c);
}

static void on_timer(void *arg)
{
	struct conn *c = arg;

	if (c->state == CONN_UP)
		c->stuck_pid = PQbackendPID(c->pg);
	if (c->state == CONN_WAIT)
		connect_now(c);
	else
		go_down(c, c->state == CONN_CONNECTING ? "no connection in time"
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
	fail_queries(c);
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
		go_down(c, why);
	c->backoff_ms = BACKOFF_MIN_MS;
}

void conn_fail(struct conn *c, const char *why)
{
	if (c->state != CONN_WAIT)
		go_down(c, why);
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

PGresult *conn_keep(struct conn *c)
{
	PGresult *r = c->result;

	c->result = NULL;
	return r;
}

void conn_limit(struct conn *c, uint64_t ms)
{
	c->limit_ms = ms;
}

bool conn_up(const struct conn *c)
{
	return c->ready;
}

void conn_query(struct conn *c, const char *sql, size_t n, const char *const *params,
		conn_result_fn *done, void *arg)
{
	assert(c->ready);
	list_push(&c->queries, &query_new(c, NULL, sql, n, params, done, arg)->node);
	send_next(c);
}

void conn_query_prepared(struct conn *c, const char *name, const char *sql, size_t n,
			 const char *const *params, conn_result_fn *done, void *arg)
{
	assert(c->ready);
	list_push(&c->queries, &query_new(c, name, sql, n, params, done, arg)->node);
	send_next(c);
}
