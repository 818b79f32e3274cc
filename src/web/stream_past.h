/* SPDX-License-Identifier: PostgreSQL
 * Between the files of a stream's past: stream_past.c reads the ring, stream_journal.c the journal,
 * stream_kept.c asks for what is kept, stream_place.c notes how far they are, stream_news.c makes
 * what the client is told. */
#ifndef PGHERALD_WEB_STREAM_PAST_H
#define PGHERALD_WEB_STREAM_PAST_H

#include <stdbool.h>

#include "web/stream.h"

/* Queues an event of the past when this principal may see it, by today's rights. `own` is the id to
 * send, NULL for what stream_frame_for() says. */
void stream_queue_past(struct stream *s, struct event *e, const char *own);
/* Whether more of the past may be queued: one writev's worth, and no more bytes than the route
 * allows. */
bool stream_has_room(const struct stream *s);
/* Whether what it may hear depends on its keys. */
bool stream_hears_own(const struct stream *s);

/* Asks the journal for the next page, and reads what has come of it. */
void stream_ask_journal(struct stream *s);
void stream_read_journal(struct stream *s);
/* Who has just come gets the messages that are kept, before anything else. `at` is the position of
 * his greeting: what is not in it comes by the ring, from where it is noted. */
void stream_ask_kept(struct stream *s, const struct cursor *at);
/* The same of channels that it has joined, at its position; false when there are none. */
bool stream_ask_joined(struct stream *s) MUST_CHECK;
/* Whether a message that is kept is of its past. */
bool stream_gets_kept(const struct stream *s, const struct event *e) MUST_CHECK;
/* A letter about its past, from `skip` on; and off it goes. */
void stream_make_replay(struct stream *s);
void stream_send_replay(struct stream *s);

/* The position before ring_seq, or one that is too early, which does no harm. */
void stream_set_place(struct stream *s, const char *id);
/* The same from the ring; `otherwise` where that has none, unless it is NULL. */
void stream_note_place(struct stream *s, const char *otherwise);
/* The same, wherever in the ring it stands. */
void stream_find_place(struct stream *s);
/* The position that the hello told the client, for a stream that begins there; the caller frees. */
char *stream_position_of_hello(const struct stream *s);

#endif
