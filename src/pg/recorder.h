/* SPDX-License-Identifier: PostgreSQL
 * Puts messages into the journal with pgherald.publish(), in their order and many in a transaction,
 * over a connection of its own in the loop of whoever owns it. Tries until it is done: what the
 * database refuses is refused alone, what it cannot do now waits. */
#ifndef PGHERALD_PG_RECORDER_H
#define PGHERALD_PG_RECORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/complaint.h"
#include "base/list.h"
#include "base/loop.h"
#include "pg/conn.h"

/* Every string is the record's. */
struct record {
	struct list node;
	char *channel; /* or "*"; NULL, and */
	char *user;
	char *type;
	char *payload; /* JSON */
	char *key;     /* what has been told with it is not told again */
	size_t bytes;  /* filled in by recorder_add() */
};

struct recorder {
	struct conn conn;
	struct loop *loop;
	const char *name; /* for the log */
	struct loop_timer retry;
	struct list waiting; /* struct record, the first `n_asked` of which are under way */
	size_t n, bytes;     /* of what waits */
	size_t n_asked;
	size_t n_alone; /* so many are asked one by one: one of them is the database's no */
	uint64_t retry_ms;
	bool permitted; /* pgherald.publish() may be called on this connection */
	bool suspect;	/* the first one was forbidden: is it that one, or all? */
	struct complaint trouble;
	char said[120]; /* why it waits, as the log has it; "" = it does not */
	/* The database does not take this one, ever; `why` in its words. */
	void (*refused)(void *arg, const struct record *r, const char *why);
	/* Some have been put into the journal, or refused: see n and bytes. */
	void (*settled)(void *arg);
	void *arg;
};

/* Starts connecting. Fill in name, refused, settled and arg first. */
void recorder_start(struct recorder *r, struct loop *loop, const char *conninfo);
/* What waits is freed untold. */
void recorder_stop(struct recorder *r);
/* Takes the record. */
void recorder_add(struct recorder *r, struct record *record);
void record_free(struct record *record);

#endif
