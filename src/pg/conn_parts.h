/* SPDX-License-Identifier: PostgreSQL
 * A connection, between the files of conn.h: it comes and goes (conn.c), runs its queries
 * (conn_query.c), and finds words for what went wrong (conn_error.c). */
#ifndef PGHERALD_PG_CONN_PARTS_H
#define PGHERALD_PG_CONN_PARTS_H

#include "pg/conn.h"

/* conn.c */

/* What the loop waits for at the connection's socket, which libpq may have exchanged. */
void conn_watch(struct conn *c, uint32_t events);
/* Closes, for this reason, and tries again after a pause; what waits hears of it. */
void conn_go_down(struct conn *c, const char *why);
/* The same, for the reason that libpq gives. */
void conn_go_down_pg(struct conn *c);

/* conn_query.c */

/* Queues a query as conn_query_prepared(), or without a name as conn_query(), also before
 * conn_up(). */
void conn_send(struct conn *c, const char *name, const char *sql, size_t n,
	       const char *const *params, conn_result_fn *done, void *arg);
/* Hands out every result and notification that has come. Anything called may take the connection
 * down. */
void conn_read_results(struct conn *c);
/* Every waiting query hears that nothing will come. */
void conn_fail_queries(struct conn *c);

/* conn_error.c */

/* The first line of a message, in `buf`: libpq's end in a newline and may have several. */
const char *conn_first_line(const char *message, char *buf, size_t size);
/* Whether it failed because the statement is not, or already, known to the server session: then
 * somebody between us and the server gives us another session each time. */
bool conn_lost_statement(const PGresult *r);
/* Whether the server takes its leave: the administrator ends the session, or the server stops. */
bool conn_ends(const PGresult *r);

#endif
