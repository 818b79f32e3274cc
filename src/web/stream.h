/* SPDX-License-Identifier: PostgreSQL
 * A stream: a client's socket after libmicrohttpd has let go of it, a position, a small queue.
 * It catches up (from the journal, then from the ring) and then hears what the hub publishes.
 * It ends through stream_close() with a reason in words, and only so. */
#ifndef PGHERALD_WEB_STREAM_H
#define PGHERALD_WEB_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/loop.h"
#include "hub/hub.h"
#include "hub/joined.h"
#include "hub/post.h"
#include "hub/queue.h"

struct worker;
struct conf;
struct conf_route;

enum stream_state {
	STREAM_STARTING,  /* libmicrohttpd still sends the head and the hello */
	STREAM_REPLAYING, /* reads the journal from its position */
	STREAM_CATCHING,  /* reads the ring from ring_seq */
	STREAM_LIVE,	  /* in the hub */
	STREAM_CLOSING,	  /* sends the rest, then closes */
};

struct stream {
	/* What a delivery touches stands together: three cache lines. */
	struct hub_member member; /* first: the hub hands this out */
	struct worker *worker;
	struct cursor *skip; /* what the client had before it came; NULL when all of it is past */
	enum stream_state state;
	uint32_t sent_of_first; /* bytes of the queue's first frame that are out */
	bool who_am_i;		/* its greeting names the user and the keep-alive */
	bool chunked;		/* HTTP/1.1; false: the same bytes without chunk framing */
	bool blocked;		/* the socket takes no more until EPOLLOUT */
	struct queue queue;
	struct loop_fd fd;
	uint64_t flushed_ms, n_events, n_bytes;
	struct list dirty;

	struct list node, wheel;
	struct conf *conf; /* the snapshot its route is from; a reference */
	const struct conf_route *route;
	uint64_t id;
	uint64_t ring_seq;
	uint64_t loss;		    /* the loss counter that the client knows */
	struct post_replay *replay; /* our letter, here or away; NULL when not replaying */
	struct post_lookup *lookup; /* a recheck that is away */
	bool replay_away;
	size_t replay_next; /* of replay->events, the next to queue */
	char *hello;	    /* the first bytes, until they are handed to libmicrohttpd */
	size_t hello_len;
	char *token;
	char peer[64];
	uint64_t opened_ms, keepalive_s, recheck_at_ms;
	bool recheck_again;	  /* its rights changed while a look-up was away */
	const char *close_reason; /* with STREAM_CLOSING; or why it must end once it has started */
};

/* A stream on a route of `conf` for a principal (taken) that the registry has counted. `last_id` is
 * the client's Last-Event-ID or NULL; `who_am_i`: it asked for that in its greeting. Its hello is
 * ready; stream_adopt() or stream_close() must follow. */
struct stream *stream_new(struct worker *w, struct conf *conf, const struct conf_route *route,
			  struct principal *who, const char *token, const char *last_id,
			  const char *peer, bool chunked, bool who_am_i);
/* Takes over a dup of the connected socket: the head and the hello are out. */
void stream_adopt(struct stream *s, int fd);
/* Ends it at once. `reason` is a literal; one log line tells it. Only its request may do this to
 * a stream that is still starting; everybody else calls stream_end(). */
void stream_close(struct stream *s, const char *reason);
/* Ends it at once, or as soon as libmicrohttpd has let go of it. */
void stream_end(struct stream *s, const char *reason);
/* Ends it once what is queued has been sent: with a farewell that spreads the reconnects. */
void stream_farewell(struct stream *s, const char *reason);

/* For the worker: */
void stream_deliver(struct hub_member *m, struct event *e, enum scope_view view);
void stream_flush(struct stream *s, uint64_t now_ms);
/* Goes on catching up when there is room. */
void stream_continue(struct stream *s);
/* Queues one of the daemon's own frames (keep-alive, comment, resync). */
void stream_offer(struct stream *s, struct frame *f);
void stream_replayed(struct stream *s);
/* The journal begins anew: what clients had before belongs to another past. */
void stream_restart(struct stream *s);
/* Time passed: forgets `skip` when it is past, looks its token up again when due. */
void stream_tick(struct stream *s, uint64_t now_ms);
/* Its rights may have changed: looks its token up again at once. */
void stream_recheck(struct stream *s);
/* The configuration changed: finds its role again; closes when it has none any more. */
void stream_rescope(struct stream *s);

/* Between the files of stream: */

#define STREAM_MAX_IOV JOINED_MAX_FRAMES /* frames per writev, and of the past queued at once */

/* One line of the log about it; `reason` with what it was worth, NULL for a beginning. */
void stream_log(const struct stream *s, const char *what, const char *reason);
/* Whether the ring has all that the client missed; else a position to ask the journal with is set.
 */
bool stream_finds_past(struct stream *s) MUST_CHECK;
/* Starts catching up from where stream_finds_past() said. */
void stream_begin_past(struct stream *s, bool from_ring);
/* Whether the client had this event before it came here. */
bool stream_had(const struct stream *s, const struct event *e);
/* The frame of an event for this client; the caller owns the reference. */
struct frame *stream_frame_for(struct stream *s, struct event *e, enum scope_view view);
/* Queues a "refetch everything" for this stream alone; `id` may be NULL. */
void stream_queue_reset(struct stream *s, const char *reason, const char *id);
/* Throws away a replay that is at home. */
void stream_drop_replay(struct stream *s);
/* Sets when its token is to be looked up again. */
void stream_set_recheck(struct stream *s);

#endif
