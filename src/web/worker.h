/* SPDX-License-Identifier: PostgreSQL
 * A worker: one thread, one loop, its listening sockets, its libmicrohttpd, its streams and its
 * index of them. Knows the other threads only as inboxes. */
#ifndef PGHERALD_WEB_WORKER_H
#define PGHERALD_WEB_WORKER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/inbox.h"
#include "base/list.h"
#include "base/loop.h"
#include "conf.h"
#include "hub/hub.h"
#include "hub/joined.h"
#include "hub/post.h"
#include "hub/registry.h"
#include "web/commons.h"
#include "web/door.h"
#include "web/http.h"

#define WHEEL_SLOTS 64 /* seconds a turn of the keep-alive wheel takes */

struct worker {
	unsigned number;
	struct loop *loop;
	struct inbox inbox;
	struct inbox *db;	   /* the database thread's */
	struct commons *commons;   /* shared by all workers */
	struct registry *registry; /* of the commons */
	struct conf *conf;	   /* a reference */
	char *topics;		   /* JSON array of all watched topics */
	char *live_topics;	   /* of those that no journal has; NULL without any */
	struct hub hub;
	struct door door;
	struct http http;

	char *problems; /* what is wrong with the watched tables, in lines; NULL when all is well */

	bool database_up;
	uint64_t late_seq; /* the ring's events before this one were told when the database was
			      back: see stream_past.c */
	bool known;	   /* position is valid: streams can start */
	struct cursor_text position; /* all of it has been published here */
	struct cursor position_cursor;
	uint64_t position_xmin;
	uint64_t rights_changes; /* how often rights have changed: see request.c */

	struct list streams; /* every struct stream */
	size_t n_streams;
	uint64_t next_stream_id;
	struct list arrivals; /* streams of the process before: see arrival.h */
	uint64_t arrivals_until_ms;
	struct list partings; /* sockets of streams that have ended: see parting.h */
	size_t n_partings;
	struct list dirty; /* streams with something to flush */
	struct loop_timer flush;
	struct joined joined;		/* for the streams flushed in this turn */
	struct list wheel[WHEEL_SLOTS]; /* streams by the second they are due */
	uint64_t wheel_s;
	struct loop_timer tick;
	uint64_t shed_pause_ms; /* until when nobody is looked for whom to let go: see shed.c */

	bool last_event; /* in hub_publish(): this turn brings no event after it */
	bool draining, drained;
	struct loop_timer drain_limit;
	pthread_t thread;
};

/* Makes a worker that serves the listening sockets `fds` (closed by the worker). NULL with a
 * logged reason. The thread is not started yet, so that tests can turn the loop themselves. */
struct worker *worker_new(unsigned number, struct conf *conf, const int *fds, size_t n_fds,
			  struct inbox *db, struct commons *commons);
/* Starts the thread; it ends after POST_STOP. */
bool worker_start(struct worker *w) MUST_CHECK;
void worker_join(struct worker *w);
/* After worker_join(), or without a thread. Closes what is open. */
void worker_free(struct worker *w);

/* For letters.c: */

/* Flushes what this turn has queued. A live stream that was flushed a moment ago waits for its
 * interval, so that under load many events share one system call; one that catches up does not. */
void worker_flush(struct worker *w);
/* The topics of its configuration, which is new. */
void worker_note_topics(struct worker *w);
/* No client more: streams go to the next process, or get their farewell. */
void worker_drain(struct worker *w);

/* For stream.c: the stream has something to send; it is flushed at the end of this turn, or when
 * its flush interval is over. */
void worker_dirty(struct worker *w, struct list *node);
/* For stream.c and request.c: a stream or request has gone; ends the drain with the last one. */
void worker_check_drained(struct worker *w);

#endif
