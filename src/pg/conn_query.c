/* SPDX-License-Identifier: PostgreSQL
 * The queries of a connection, one after the other. See conn.h. */
#include "config.h"
#include "pg/conn_parts.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

#define GRACE_MS 5000 /* past that and the limit the connection counts as dead */

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

void conn_fail_queries(struct conn *c)
{
	while (!list_empty(&c->queries)) {
		struct query *q = LIST_ENTRY(c->queries.next, struct query, node);

		list_remove(&q->node);
		if (q->done)
			q->done(q->arg, NULL);
		free(q);
	}
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
		conn_go_down_pg(c);
		return;
	}
	c->busy = true;
	loop_timer_set(c->loop, &c->timer, q->limit_ms + GRACE_MS);
	switch (PQflush(c->pg)) {
	case 0:
		conn_watch(c, EPOLLIN);
		break;
	case 1:
		conn_watch(c, EPOLLIN | EPOLLOUT);
		break;
	default:
		conn_go_down_pg(c);
	}
}

/* One result of the query under way; the callee's. It is no answer yet: the server sends it before
 * it commits (protocol-flow, "Extended Query": the transaction ends at Sync), and what fails then
 * comes as a second result, which counts. */
static void take_result(struct conn *c, PGresult *r)
{
	char line[256];

	if (!conn_ends(r)) {
		PQclear(c->came);
		c->came = r;
		return;
	}
	conn_first_line(PQresultErrorMessage(r), line, sizeof(line));
	PQclear(r);
	conn_go_down(c, line); /* who asked hears of the connection */
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
	} else if (q->name && !c->no_prepare && conn_lost_statement(c->result)) {
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

/* c->pg is looked at again each time. A notification that stands behind a result in what has
 * been read is seen only once the result is taken: so they are asked for after each; and is handed
 * out behind it. */
void conn_read_results(struct conn *c)
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

void conn_send(struct conn *c, const char *name, const char *sql, size_t n,
	       const char *const *params, conn_result_fn *done, void *arg)
{
	list_push(&c->queries, &query_new(c, name, sql, n, params, done, arg)->node);
	send_next(c);
}

void conn_query(struct conn *c, const char *sql, size_t n, const char *const *params,
		conn_result_fn *done, void *arg)
{
	assert(c->ready);
	conn_send(c, NULL, sql, n, params, done, arg);
}

void conn_query_prepared(struct conn *c, const char *name, const char *sql, size_t n,
			 const char *const *params, conn_result_fn *done, void *arg)
{
	assert(c->ready);
	conn_send(c, name, sql, n, params, done, arg);
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
