/* SPDX-License-Identifier: PostgreSQL
 * The listener: LISTEN, then where we are, then read; again on every doorbell and at least every
 * poll interval. Turns journal rows into events and hands them on, in order, without a gap: what
 * cannot be told exactly becomes a resync. Never silent. */
#ifndef PGHERALD_PG_JOURNAL_H
#define PGHERALD_PG_JOURNAL_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/complaint.h"
#include "base/loop.h"
#include "hub/event.h"
#include "pg/aside.h"
#include "pg/channel.h"
#include "pg/conn.h"
#include "pg/fetch.h"
#include "pg/keeper.h"
#include "pg/position.h"
#include "wire/cursor.h"

struct journal {
	struct conn conn;
	struct loop *loop;
	struct loop_timer poll;
	struct keeper keeper;
	struct channels channels;
	uint64_t poll_ms, ring_events, ring_bytes;
	char *topics; /* JSON array of all watched topics, for a resync of everything */
	const atomic_size_t *in_flight; /* bytes of events that nobody has taken yet; or NULL */
	size_t max_in_flight;		/* nothing is read while there are more */
	struct loop_timer patience;

	bool ready;	/* caught up at least once since the connection came up */
	bool known;	/* `at` is valid */
	bool busy;	/* a look is under way, or what comes before the first one */
	bool again;	/* another one is wanted after it */
	bool by_poll;	/* nobody rang for the one under way */
	bool careful;	/* the next plan is asked for without a page: that has failed */
	size_t n_known; /* so many were late already when the plan was asked for */
	bool looking;	/* the plan under way is asked for as a look */
	bool much;	/* the next one is not, for there will be too much */
	struct position at;
	uint64_t asked_ms;  /* when the page under way was asked for */
	uint64_t lost_txid; /* first of a page that was lost with the connection … */
	unsigned n_lost;    /* … so often in a row */
	struct aside aside;
	unsigned n_garbled;	  /* notifications that ended the session, lately */
	uint64_t garbled_ms;	  /* the last one */
	uint64_t deaf_until_ms;	  /* nobody is listened to; 0 = everybody */
	const char *start_reason; /* the position is to be found anew, and clients told why */
	uint64_t loss_noted;	  /* the loss counter last seen */
	uint64_t loss_until;	  /* that loss waits for the transactions below this; 0 = told */
	struct fetch_plan plan;
	struct complaint bad, refetches;

	/* Events in order and the position after them; the list is the callee's to unref and free.
	 * `restart`: these follow a gap that a resync among them tells of; nothing older than
	 * `floor` follows. */
	void (*on_events)(void *arg, struct event **events, size_t n, bool restart, uint64_t floor,
			  const struct cursor_text *position, uint64_t position_xmin);
	/* The database is there and read up to now, or is not. */
	void (*on_state)(void *arg, bool up);
	void *arg;
};

/* Fill in the callbacks, poll_ms, ring_events, ring_bytes, topics, channels and what keeper.h says
 * first. */
void journal_start(struct journal *j, struct loop *loop, const char *conninfo);
/* Connects anew, with other parameters. */
void journal_restart(struct journal *j, const char *conninfo, const char *why);
/* Hands on an event that stands in no journal, at the position that has been reached; takes the
 * reference. Before the first one nobody listens, and it is nobody's. */
void journal_tell(struct journal *j, struct event *e);
void journal_stop(struct journal *j);

#endif
