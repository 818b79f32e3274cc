/* SPDX-License-Identifier: PostgreSQL
 * Carries out on a connection what the doorbell decides: takes the lock and lets go of it, tells
 * other daemons, and says when to look into the journal. */
#ifndef PGHERALD_PG_KEEPER_H
#define PGHERALD_PG_KEEPER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/loop.h"
#include "pg/conn.h"
#include "pg/doorbell.h"
#include "pg/holder.h"

struct keeper {
	struct doorbell bell;
	struct holder holder;
	struct conn *conn;
	struct loop *loop;
	bool never_rung, always_rung; /* [database] doorbell = poll, = notify */
	bool deaf;
	atomic_int *lock_taken;	 /* the session of somebody else with the doorbell's lock, 0: none;
				    or NULL */
	void (*look)(void *arg); /* look into the journal now, or as soon as that is possible */
	void (*failed)(void *arg, const PGresult *r);
	void *arg;
};

/* Fill in conn, loop and the callbacks first. */
void keeper_init(struct keeper *k);
/* The connection is there: asks whether writers ring at all. `deaf`: we would not hear them. */
void keeper_begin(struct keeper *k, bool deaf);
/* A notification on the channel "pgherald" has come. Anybody can have sent it. */
void keeper_rung(struct keeper *k, const char *payload);
/* As doorbell_looked(), after each look. */
void keeper_looked(struct keeper *k, uint64_t found, uint64_t xmin, uint64_t xmax, bool by_poll);
uint64_t keeper_poll_ms(const struct keeper *k, uint64_t ordinary_ms);

#endif
