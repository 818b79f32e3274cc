/* SPDX-License-Identifier: PostgreSQL
 * What is told aside: transactions that are large, and topics that take long (a join without an
 * index), over a connection of their own, so that nobody else waits. In their order among
 * themselves; those that have waited too long say "fetch again". The connection is made when it is
 * needed first. Must not know where the reader is: journal.c takes what is ready, between two
 * looks. */
#ifndef PGHERALD_PG_ASIDE_H
#define PGHERALD_PG_ASIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/complaint.h"
#include "base/loop.h"
#include "pg/conn.h"
#include "pg/fetch.h"

#define ASIDE_SLOW_MS 250 /* a page that takes longer holds others up */

/* What is known of a transaction that is told aside besides the plan's. */
struct aside_item {
	uint64_t since_ms;
	char *topics; /* as wire/array.h has it */
};

/* A topic that takes long, until it has not done so for a while. */
struct aside_topic {
	char *name;
	uint64_t until_ms;
};

struct aside {
	struct conn conn;
	struct loop *loop;
	char *conninfo;
	bool started;
	struct fetch_limits limits;
	struct fetch_plan plan;	  /* those that are told aside … */
	struct aside_item *items; /* … as long as plan.order */
	struct buf topics;	  /* theirs and the slow ones, as wire/array.h has it */
	struct aside_topic *slow;
	size_t n_slow;
	uint64_t heavy;	  /* to be made late by the next plan; 0 = none */
	PGresult *result; /* of a page, to be taken */
	bool busy;
	unsigned n_lost;   /* so often in a row a page was lost with the connection */
	uint64_t sent_ms;  /* when the page under way was asked for */
	uint64_t alone_ms; /* since when there is no connection; 0 = there is one, or none needed */
	uint64_t closed_ms; /* until then it is not to be had */
	struct complaint bad;
	void (*ready)(void *arg);
	void *arg;
};

/* `ready` is called when aside_take() has something. `max_bytes` bounds what one transaction may
 * be. */
void aside_init(struct aside *a, struct loop *loop, const char *conninfo, uint64_t max_bytes,
		void (*ready)(void *arg), void *arg);
void aside_stop(struct aside *a);
/* Forgets all that waits, to be planned anew; with other parameters when `conninfo` is not NULL. */
void aside_reset(struct aside *a, const char *conninfo);
/* Before each plan: without a connection for long nothing is told aside for a while, and what waits
 * is planned anew. */
void aside_mind(struct aside *a);
/* Whether anything is told aside. */
bool aside_possible(const struct aside *a) MUST_CHECK;
/* What the next plan is to leave out; points into `a`. */
struct fetch_apart aside_apart(struct aside *a);
/* Whether a plan has anything to leave out. */
bool aside_busy(const struct aside *a) MUST_CHECK;
/* These are told aside from now on. */
void aside_add(struct aside *a, const struct fetch_late *late, size_t n);
/* What has this topic takes long. */
void aside_slow(struct aside *a, const char *topic);
/* The next plan shall make this one late. */
void aside_heavy(struct aside *a, uint64_t txid);
/* Those that wait. */
size_t aside_waiting(const struct aside *a, const uint64_t **ret_txids);
/* The events of a page that is ready, each with its cursor: everything in `seen` has been told but
 * those that wait. False when there is none. `ret_txids` are those told by it; all lists but that
 * one belong to the caller. */
bool aside_take(struct aside *a, const struct cursor *base, const struct snapshot *seen,
		struct event ***ret, size_t *ret_n, const uint64_t **ret_txids,
		size_t *ret_n_txids) MUST_CHECK;
/* Goes on after that. */
void aside_next(struct aside *a);

#endif
