/* SPDX-License-Identifier: PostgreSQL
 * Messages that are kept for who comes later: one statement, and the events that it gives. */
#ifndef PGHERALD_PG_KEPT_H
#define PGHERALD_PG_KEPT_H

#include "hub/event.h"
#include "hub/scope.h"
#include "pg/conn.h"
#include "wire/cursor.h"

/* Asks for those of this user and these channels (may be NULL), and of everybody. */
void kept_send(struct conn *c, const char *user, const struct keys *channels, uint64_t ms,
	       conn_result_fn *done, void *arg);
/* The events in their order, each with this position as its id: a list that the caller frees (and
 * unrefs). NULL when the answer is none. */
struct event **kept_read(const PGresult *r, const struct cursor *at, size_t *ret_n);
/* A user's id, these channels and "*" as the text of an array of keys; the caller frees. */
char *kept_keys(const char *user, const struct keys *channels);

#endif
