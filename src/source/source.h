/* SPDX-License-Identifier: PostgreSQL
 * A [listen] section that hears of another server than the database: a thread with a loop of its
 * own. What comes goes to the database's thread, live, or into the journal; and until it has got
 * there nothing is acknowledged. What speaks to the server is a struct source_kind. */
#ifndef PGHERALD_SOURCE_SOURCE_H
#define PGHERALD_SOURCE_SOURCE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/complaint.h"
#include "base/inbox.h"
#include "base/list.h"
#include "base/loop.h"
#include "conf.h"
#include "hub/vitals.h"
#include "pg/recorder.h"
#include "source/parcel.h"

struct source;

/* On the source's thread, all of them. */
struct source_kind {
	/* Begins to connect; false when it cannot even try, which is in the log. */
	bool (*begin)(struct source *s);
	/* Nothing is waited for, but for what bounds itself. */
	void (*end)(struct source *s);
	/* All that source_take() was given is where it belongs, or has been refused. */
	void (*settled)(struct source *s);
};

extern const struct source_kind source_pubsub, source_stream, source_kafka;

struct source {
	struct list node;		  /* of whoever started it */
	struct conf *conf;		  /* a reference, and … */
	const struct conf_listen *listen; /* … the section in it */
	const struct source_kind *kind;
	char *name; /* "listen NAME", for the log */
	struct inbox *db;
	const atomic_size_t *in_flight; /* bytes that the workers have not taken yet */
	struct vitals *vitals;

	pthread_t thread;
	struct loop *loop;
	struct inbox inbox;
	void *own; /* the kind's */

	struct recorder recorder; /* with journal = yes */
	atomic_size_t posted;	  /* bytes on their way to the database's thread */
	struct loop_timer later;  /* what has been posted is asked for */
	bool unsettled;

	struct complaint refused; /* messages that are none, or that the journal refuses */
	uint64_t n_dropped, n_dropped_told;
	uint64_t n_taken;
	bool gap;		 /* clients are to be told that something is missing */
	struct loop_timer retry; /* of the connection to the server */
	uint64_t backoff_ms;
	bool complained;  /* of this outage, in the log */
	uint64_t down_ms; /* since when */
	void (*again)(struct source *s);
};

/* A running source; NULL when there is no thread, which is in the log. What is pointed to outlives
 * it; its last letter there is a struct post_source. */
struct source *source_start(struct conf *conf, const struct conf_listen *listen, struct inbox *db,
			    const atomic_size_t *in_flight, struct vitals *vitals);
/* Asks it to end. */
void source_stop(struct source *s);
/* Whether it has ended, within that time. */
bool source_join(struct source *s, unsigned wait_ms) MUST_CHECK;
/* After that, once all its letters are gone. */
void source_free(struct source *s);

/* For the kinds: a message has come. What is none is counted and said, and stops nothing. */
void source_take(struct source *s, const struct parcel *m);
/* Whether there is room for more; who cannot wait drops. */
bool source_has_room(const struct source *s) MUST_CHECK;
/* One was dropped: counted, and clients are told to fetch again as soon as there is room. */
void source_drop(struct source *s);
/* What all daemons have in common for what one of its names brings, and no other source. */
uint64_t source_mark(const struct source *s, const char *from);
/* Something may be missing. */
void source_gap(struct source *s);
/* All of what has come is handed over: settled() follows, maybe within this call. */
void source_settle(struct source *s);
/* The server is there, or is not, for a reason; then again() is called after a pause that grows. */
void source_up(struct source *s);
void source_down(struct source *s, const char *why);

#endif
