/* SPDX-License-Identifier: PostgreSQL
 * One libpq connection as a state machine in the loop: it connects, keeps itself connected with
 * backoff and jitter, runs one query after the other, and says when it is up or down. */
#ifndef PGHERALD_PG_CONN_H
#define PGHERALD_PG_CONN_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/list.h"
#include "base/loop.h"

/* Gets the result, which stays conn's, or NULL when the connection went down before it came. A
 * result of the wrong status is for the callee to see (PQresultStatus). */
typedef void conn_result_fn(void *arg, const PGresult *r);

#define CONN_PREPARED_MAX 4

struct conn {
	struct loop *loop;
	const char *name; /* for the log: "journal", "auth", "replay" */
	char *conninfo;
	PGconn *pg;
	struct loop_fd fd;
	uint32_t events;	 /* that fd is watched for; 0 = not in the loop */
	struct loop_timer timer; /* next attempt, or the limit of what is under way */
	enum { CONN_OFF, CONN_WAIT, CONN_CONNECTING, CONN_UP } state;
	bool ready; /* the set-up has run: queries may go out */
	uint64_t backoff_ms;
	bool complained;     /* the outage is in the log already */
	uint64_t n_warnings; /* of the server, so far */
	uint64_t warned_ms;  /* when the last one went into the log */
	struct list queries; /* struct query; the first is under way when `busy` */
	bool busy;
	bool preparing; /* the statement of the query under way is being prepared */
	const char *prepared[CONN_PREPARED_MAX]; /* names known to this connection */
	size_t n_prepared;
	bool no_prepare; /* prepared statements do not stay: a pooler */
	void (*on_state)(void *arg, bool up);
	void (*on_notify)(void *arg, const char *channel, const char *payload);
	void *arg;
};

/* Starts connecting; `name` must outlive it. on_notify may be NULL. */
void conn_start(struct conn *c, struct loop *loop, const char *name, const char *conninfo,
		void (*on_state)(void *arg, bool up),
		void (*on_notify)(void *arg, const char *channel, const char *payload), void *arg);
/* Closes; waiting queries get NULL. */
void conn_stop(struct conn *c);
/* Closes and starts anew at once, with other parameters when `conninfo` is not NULL. */
void conn_restart(struct conn *c, const char *conninfo, const char *why);
bool conn_up(const struct conn *c);
/* Queues a query with text parameters (copied; NULL entries are SQL NULL). Only while conn_up(). */
void conn_query(struct conn *c, const char *sql, size_t n, const char *const *params,
		conn_result_fn *done, void *arg);
/* The same as a prepared statement, planned once per connection; `name` is a literal. */
void conn_query_prepared(struct conn *c, const char *name, const char *sql, size_t n,
			 const char *const *params, conn_result_fn *done, void *arg);
/* A result's error in one line, in words even where the server sent none. */
const char *conn_error(const PGresult *r);

#endif
