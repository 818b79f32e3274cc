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

/* Gets the result, which stays conn's, once the statement's transaction has ended; or NULL when the
 * connection went down before that: it may have been committed, nobody knows. A result of the wrong
 * status is for the callee to see (PQresultStatus). */
typedef void conn_result_fn(void *arg, const PGresult *r);

#define CONN_PREPARED_MAX 8 /* statements of one connection: literals, all there are */

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
	char complaint[256]; /* what the log has last been told of this outage; "" = nothing */
	uint64_t n_failures; /* in a row, without having worked in between */
	uint64_t limit_ms;   /* of the statements queued from now on */
	uint64_t session_ms; /* what the server has been told of it */
	char last_words[6];  /* SQLSTATE of what the server said, unasked, before it hung up */
	int stuck_pid;	     /* of a server's session that gave no answer in time, or 0 */
	uint64_t n_warnings; /* of the server, so far */
	uint64_t warned_ms;  /* when the last one went into the log */
	struct list queries; /* struct query; the first is under way when `busy` */
	bool busy;
	bool preparing;	  /* the statement of the query under way is being prepared */
	bool limiting;	  /* its limit is being told */
	PGresult *came;	  /* of the query under way, which the server has not committed yet */
	PGresult *result; /* that is being handed out */
	const char *prepared[CONN_PREPARED_MAX]; /* names known to this connection */
	size_t n_prepared;
	bool doubtful;	 /* one of them failed, and may have been replaced: pgherald.tell() */
	bool forgetting; /* hence they are being forgotten */
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
/* Closes, because it does not serve its purpose; each time in a row the pause before the next
 * attempt is longer, up to half a minute. `why` is in the log once. */
void conn_fail(struct conn *c, const char *why);
/* It serves its purpose: after the next failure it is tried again soon, and the log hears of it. */
void conn_worked(struct conn *c);
/* Whether queries may be sent. */
bool conn_up(const struct conn *c);
/* Statements queued from now on may take so long, each; then the server ends them (57014). */
void conn_limit(struct conn *c, uint64_t ms);
/* Queues a query with text parameters (copied; NULL entries are SQL NULL). Only while conn_up(). */
void conn_query(struct conn *c, const char *sql, size_t n, const char *const *params,
		conn_result_fn *done, void *arg);
/* The same as a prepared statement, planned once per connection; `name` and `sql` are literals. */
void conn_query_prepared(struct conn *c, const char *name, const char *sql, size_t n,
			 const char *const *params, conn_result_fn *done, void *arg);
/* Within a conn_result_fn: the result becomes the caller's, who clears it with PQclear(). */
PGresult *conn_keep(struct conn *c);
/* A result's error in one line, in words even where the server sent none. */
const char *conn_error(const PGresult *r);
/* The same without "ERROR: " before it, for a client. */
const char *conn_words(const PGresult *r);
#define CONN_LOST "08 57P" /* the server's last words: the connection is about to go down */
/* Whether a result is an error whose SQLSTATE begins with one of these, "42501 3F" for instance. */
bool conn_error_is(const PGresult *r, const char *states);

#endif
