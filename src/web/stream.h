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
#include "web/seat.h"

struct filter;
struct departure;
struct talk;
struct luggage;
struct worker;
struct conf;
struct conf_route;

enum stream_state {
	STREAM_STARTING,  /* libmicrohttpd still sends the head and the hello */
	STREAM_REPLAYING, /* reads the journal from its position */
	STREAM_CATCHING,  /* reads the ring from ring_seq: new, or too slow for the hub, or held */
	STREAM_LIVE,	  /* in the hub */
	STREAM_CLOSING,	  /* sends the rest, then closes */
};

#define STREAM_NO_WALL UINT64_MAX

struct stream {
	/* What a delivery touches stands together: three cache lines. */
	struct hub_member member; /* first: the hub hands this out */
	struct worker *worker;
	struct cursor *skip;   /* what the client had before it came; NULL when all of it is past */
	struct filter *filter; /* what its client asked for; NULL: all of it */
	enum stream_state state;
	uint32_t form;		  /* what its client is sent: wire/form.h */
	uint32_t sent_of_first;	  /* bytes of the queue's first frame that are out */
	uint8_t door;		  /* of its route's: by which it came */
	bool told_end : 1;	  /* that its credential ends */
	bool seat_of_route : 1;	  /* it is counted there … */
	bool seat_of_address : 1; /* … and there */
	bool is_answer : 1;	  /* of its form: it ends with what it first has to say */
	bool who_am_i : 1;	  /* its greeting names the user and the keep-alive */
	bool replay_away : 1;
	bool page_waits : 1;	 /* replay's page has a change of its rights: see stream_rights.c */
	bool asked_for_page : 1; /* lookup went out after that page had come */
	bool replay_stale : 1;	 /* its channels are others since the journal was asked */
	bool journal_next : 1;	 /* behind what is kept it reads the journal */
	bool chunked;		 /* HTTP/1.1; false: the same bytes without chunk framing */
	bool blocked;		 /* the socket takes no more until EPOLLOUT */
	bool half_first;    /* the rest of a transaction that the client has begun goes first */
	uint8_t end;	    /* enum wire_end: with close_reason, before it has started */
	uint32_t blocked_s; /* since when the socket takes nothing; as those below */
	struct queue queue;
	struct loop_fd fd;
	uint64_t flushed_ms, n_events, n_bytes;
	struct list dirty;

	struct list node, wheel;
	struct conf *conf; /* the snapshot its route is from; a reference */
	const struct conf_route *route;
	uint64_t id;
	uint64_t ring_seq;
	uint64_t wall;	    /* the ring's events from here on wait for lookup's verdict */
	uint64_t next_wall; /* those from here on will wait for the next one as well */
	char *place;	    /* the position before ring_seq, for when the ring has lost it */
	uint64_t loss;	    /* the loss counter that the client knows */
	struct post_replay *replay; /* our letter, here or away; NULL when not replaying */
	struct post_lookup *lookup; /* a look-up that is away */
	struct keys *joined;  /* channels of which it is still to be told what is kept; or NULL */
	uint32_t replay_next; /* of replay->events, the next to queue */
	uint32_t hello_len;
	char *hello; /* the first bytes, until they are handed to libmicrohttpd; and, behind a NUL,
		      * the position that they tell */
	char *token; /* and behind it its peer's name, stream_peer() */
	struct talk *talk; /* what its client says; NULL: nothing, it listens */
	uint64_t opened_ms;
	/* On the loop's clock, in seconds: what stream_tick() looks at. */
	uint32_t keepalive_s, recheck_s;
	uint32_t ends_s;	  /* when its token ends; 0 = never */
	uint32_t held_s;	  /* since when there is a wall, or a page waits */
	const char *close_reason; /* with STREAM_CLOSING; or why it must end once it has started */
};

/* What its client asked for. */
struct stream_wish {
	const char *last_id;   /* its Last-Event-ID, or NULL */
	struct filter *filter; /* NULL: all of it */
	uint32_t form;
	bool who_am_i;	  /* in its greeting */
	bool chunked;	  /* HTTP/1.1 */
	unsigned door;	  /* of the route's: by which it came */
	struct seat seat; /* that it takes over */
};

/* A stream on a route of `conf` for a principal (taken, as the filter is) that the registry has
 * counted. Its hello is ready; stream_adopt() or stream_close() must follow. */
struct stream *stream_new(struct worker *w, struct conf *conf, const struct conf_route *route,
			  struct principal *who, const char *token, const struct stream_wish *wish,
			  const char *peer);
/* Takes over a dup of the connected socket: the head and the hello are out. */
void stream_adopt(struct stream *s, int fd);
/* Its client has gone. `reason` is a literal; one log line tells it. Only its request may do this
 * to a stream that is still starting. */
void stream_close(struct stream *s, const char *reason);
/* We end it: at once, or as soon as libmicrohttpd has let go of it. Unless the socket stopped in
 * the middle of an event, the client sees a proper end behind the last one, and what `end` means to
 * it where its form has words for that. */
void stream_end(struct stream *s, enum wire_end end, const char *reason);
/* Ends it once what is queued has been sent: with a farewell that spreads the reconnects. */
void stream_farewell(struct stream *s, const char *reason);

/* Goes to the next process by way of `d`, with its connection: the stream is closed here, the
 * client notices nothing. False when it cannot; it is as before then. */
bool stream_leave(struct stream *s, struct departure *d) MUST_CHECK;
/* A new stream takes over the socket of one that has left the process before. */
void stream_arrive(struct stream *s, int fd, const struct luggage *l);

/* For the worker: */
void stream_deliver(struct hub_member *m, struct event *e, enum scope_view view);
void stream_flush(struct stream *s, uint64_t now_ms);
/* Goes on catching up when there is room. */
void stream_continue(struct stream *s);
/* Queues one of the daemon's own frames (keep-alive, comment, resync). */
void stream_offer(struct stream *s, struct frame *f);
/* Its time for a keep-alive has come. An answer ends instead. */
void stream_keep_alive(struct stream *s, struct frame *f);
/* Sends a quiet one this frame, which means nothing to its client: if he has gone, a proxy between
 * us may notice only when it cannot pass on what it gets. */
void stream_probe(struct stream *s, struct frame *f);
void stream_replayed(struct stream *s);
/* The database has gone, or is back and has been read up to now. */
void stream_database(struct stream *s);
/* The journal begins anew: what clients had before belongs to another past. */
void stream_restart(struct stream *s);
/* Time passed: looks its token up again when due; ends it when its client does not read, or its
 * rights cannot be had. */
void stream_tick(struct stream *s);
/* Its rights may have changed: looks its token up at once. What the ring has from `seq` on, up to
 * now or later, it gets when the verdict is in, under the rights it has then. */
void stream_hold(struct stream *s, uint64_t seq);
/* Another credential, which has been looked up as this user's by that [auth] section, takes the
 * place of its own; it is looked up at once. False when it is somebody else's, or by no door of its
 * route.
 */
bool stream_renew(struct stream *s, const char *user_id, const char *auth,
		  const char *token) MUST_CHECK;
/* Whether it is one of these users or sessions; nobody named is everybody. */
bool stream_is_concerned(const struct stream *s, const struct keys *users);
/* Hears these channels (taken; NULL for none), which its role may hear, from its position on. */
void stream_set_channels(struct stream *s, struct keys *channels);
/* The same, and then of those in `joined` (taken; or NULL) what is kept, before anything else. */
void stream_join(struct stream *s, struct keys *channels, struct keys *joined);
/* Whether a credential of that [auth] section may come in by its route, as that is now; *ret_door
 * is the door's place in the route that it began with. */
bool stream_has_door(const struct stream *s, const char *auth, unsigned *ret_door) MUST_CHECK;
/* Finds its role again; ends it, false, when it has none any more. */
bool stream_rescope(struct stream *s);
/* A key by which that [auth] section lets in is good no longer: looks its credential up at once if
 * it came in there. */
void stream_keys_gone(struct stream *s, const char *auth);
#define STREAM_ADDRESS_OUT "its address may not use this route any more"
/* Another configuration: ends it when its route is gone, or is not for its door or its address any
 * more; finds its role again, and looks a credential up at once whose keys stand in a file, which
 * may have lost it.
 */
void stream_reload(struct stream *s);

/* Between the files of stream: */

#define STREAM_NAME_MAX 32
/* "WORKER.NUMBER": what its client and the log call it. */
const char *stream_name(const struct stream *s, char out[STREAM_NAME_MAX]);
const char *stream_peer(const struct stream *s);
/* The client's address, as it was found when he came; none through a Unix socket. */
struct address stream_address(const struct stream *s);
/* By which it is counted: its block. */
struct address stream_from(const struct stream *s);
/* Another token in place of its own. */
void stream_set_token(struct stream *s, const char *token);
/* Queues a few words of the daemon's own that the client has asked for, past the queue's bounds. */
void stream_say(struct stream *s, const struct buf *words);
/* Its client ends it, or has broken the protocol: these are the last words behind what is queued.
 */
void stream_part(struct stream *s, const struct buf *words, const char *reason);

/* Ends an answer, which has what there is to say. */
void stream_answer(struct stream *s);
/* Where its client stands when it has got all that is queued. */
void stream_position(const struct stream *s, struct cursor_text *ret);

#define STREAM_MAX_IOV JOINED_MAX_FRAMES /* frames per writev, and of the past queued at once */

/* One line of the log about it: "SSE " and `what`; `reason` with what it was worth, NULL for a
 * beginning. */
void stream_log(const struct stream *s, const char *what, const char *reason);
/* Starts with what the client missed; the hello is still there, and out. */
void stream_begin_past(struct stream *s);
/* Out of the hub: it reads the ring itself, from `seq` on, until it has caught up. */
void stream_fall_behind(struct stream *s, uint64_t seq);
/* Who is live and had been elsewhere before: he has no more than this worker once it is as far. */
void stream_forget_past(struct stream *s);
/* Whether something waits for a verdict about its rights. */
bool stream_is_held(const struct stream *s);
/* The page of the journal that has come waits until its rights have been looked up. */
void stream_hold_page(struct stream *s);
/* The last bytes, so that the client sees an end and not a broken connection, and why. */
void stream_last_words(struct stream *s, enum wire_end end, const char *reason);
/* Seconds on the loop's clock. */
uint32_t stream_now_s(const struct stream *s);
/* Whether the client asked for this event. When it is a resync of topics of which he asked for
 * some, he gets one of those instead. */
bool stream_wants(struct stream *s, struct event *e) MUST_CHECK;
/* Whether the client had this event before it came here. */
bool stream_had(const struct stream *s, const struct event *e);
/* The frame of an event for this client; the caller owns the reference. */
struct frame *stream_frame_for(struct stream *s, struct event *e, enum scope_view view);
/* Queues a "refetch everything" for this stream alone; `id` may be NULL. */
void stream_queue_reset(struct stream *s, const char *reason, const char *id);
/* Queues a "refetch" of the topics that no journal has. */
void stream_queue_gap(struct stream *s);
/* In how many seconds its credential ends, once that is worth telling; else 0. */
uint32_t stream_ends_soon(const struct stream *s);
/* Says, once, that its credential ends soon. */
void stream_tell_end(struct stream *s);
/* Throws away a replay that is at home. */
void stream_drop_replay(struct stream *s);
/* Takes when his token ends from `who`, and sets when it is to be looked up again. */
void stream_set_recheck(struct stream *s, const struct principal *who);

#endif
