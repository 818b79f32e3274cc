/* SPDX-License-Identifier: PostgreSQL
 * The database thread: the journal, the look-ups and the replays in one loop, and the post
 * between them and the workers. Lives in main's thread. */
#ifndef PGHERALD_PG_DB_H
#define PGHERALD_PG_DB_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/inbox.h"
#include "base/loop.h"
#include "conf.h"
#include "hub/vitals.h"
#include "pg/auth.h"
#include "pg/authorizer.h"
#include "pg/explainer.h"
#include "pg/journal.h"
#include "pg/publisher.h"
#include "pg/replay.h"
#include "pg/shape.h"

struct db {
	struct loop *loop;
	struct inbox inbox; /* where the workers post */
	struct journal journal;
	struct auth auth;
	struct replayer replay;
	struct authorizer authorizer;
	struct publisher publisher;
	struct explainer explainer;
	struct shape shape;
	struct loop_timer prune_timer;
	uint64_t retention_ms;
	struct conf *conf; /* a reference: the journal's channels point into it */
	struct channel *channels;
	struct inline_topics inline_topics;
	const char **watched;	/* names of the configuration's */
	struct inbox **workers; /* not owned */
	size_t n_workers;
	struct vitals *vitals;	 /* the caller's, or NULL */
	atomic_size_t in_flight; /* bytes of events that are on their way to them */
	void (*on_other)(void *arg, struct letter *l); /* letters that are not the database's */
	void *arg;
};

/* Starts connecting. `workers` outlive it. False with errno. */
bool db_start(struct db *db, struct loop *loop, struct conf *conf, struct inbox **workers,
	      size_t n_workers) MUST_CHECK;
/* `conf` replaces the one that db_start() or the last reload was given. */
void db_reload(struct db *db, struct conf *conf);
/* Stops asking: every request goes back unanswered. The inbox stays open until db_free(). */
void db_stop(struct db *db);
/* Once the workers are gone. */
void db_free(struct db *db);

#endif
