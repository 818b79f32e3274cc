/* SPDX-License-Identifier: PostgreSQL
 * Publishes what clients have posted: pgherald.publish() over a connection of its own, which is
 * made when it is first needed. Each message is a transaction, and is answered when that has ended.
 */
#ifndef PGHERALD_PG_PUBLISHER_H
#define PGHERALD_PG_PUBLISHER_H

#include "base/list.h"
#include "base/loop.h"
#include "hub/post.h"
#include "pg/conn.h"

struct publisher {
	struct conn conn;
	struct loop *loop;
	const char *conninfo; /* the configuration's */
	bool started;
	struct loop_timer sweep;
	uint64_t haste_until_ms; /* nobody is waited with for long: somebody holds a key */
	struct list waiting;	 /* struct post_publish, until it is their turn */
	struct list asked;	 /* the one that is away, or none */
};

void publisher_init(struct publisher *p, struct loop *loop, const char *conninfo);
/* Other parameters of the connection; `changed` when it is to be made anew. */
void publisher_reload(struct publisher *p, const char *conninfo, bool changed);
void publisher_stop(struct publisher *p);
/* Takes the letter; it goes back with a verdict. */
void publisher_ask(struct publisher *p, struct post_publish *l);

#endif
