/* SPDX-License-Identifier: PostgreSQL
 * "Whose token is this?" for all workers, over one connection: questions that come while one is
 * being answered are asked together next, as one statement with an array. */
#ifndef PGHERALD_PG_AUTH_H
#define PGHERALD_PG_AUTH_H

#include "base/list.h"
#include "base/loop.h"
#include "hub/post.h"
#include "pg/conn.h"

struct auth {
	struct conn conn;
	struct list waiting; /* struct post_lookup, in the order of asking */
	size_t n_waiting;
	struct list asked; /* those in the statement under way, all of one [auth] section */
	bool busy;
	bool open; /* questions may go out: what they lead to needs the journal as well */
};

void auth_start(struct auth *a, struct loop *loop, const char *conninfo);
/* What waits is answered LOOKUP_UNAVAILABLE. */
void auth_stop(struct auth *a);
/* Says whether the journal is read up to now; until then questions wait. */
void auth_open(struct auth *a, bool open);
/* Takes the letter; it goes back to its reply_to with a verdict. While the database is away it
 * waits: who asked sets the limit. */
void auth_ask(struct auth *a, struct post_lookup *l);

#endif
