/* SPDX-License-Identifier: PostgreSQL
 * What a client missed: from the ring, or from the journal, until the stream is live; and the id
 * that tells a client that knows more than this daemon has told. See stream.h. */
#include "config.h"
#include "web/stream.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "web/worker.h"

#define MAX_SCAN 2000 /* ring entries looked at per turn and stream */

/* "Refetch everything": the client's position is of no use any more. Only for this stream. */
void stream_queue_reset(struct stream *s, const char *reason, const char *id)
{
	struct event *e = event_resync(reason, s->worker->topics, id, (int64_t)time(NULL));

	queue_force(&s->queue, event_frame(e, FORM_SSE_DJANGO, VIEW_WHOLE));
	event_unref(e);
	s->n_events++;
}

/* Whether the client had this event before it came here. */
bool stream_had(const struct stream *s, const struct event *e)
{
	/* A resync that stands in no journal row is in nobody's position. */
	return s->skip && e->txid && cursor_has(s->skip, e->txid, e->id);
}

/* The frame of an event for this client; the caller owns the reference. The event's own id says
 * what this daemon has delivered up to here. As long as the client had more than that from
 * elsewhere, its id must say both, or it would be told the difference again after its next
 * reconnect. Once the event's id covers what the client had, the two histories have met. */
struct frame *stream_frame_for(struct stream *s, struct event *e, enum scope_view view)
{
	struct cursor_text text;
	struct cursor c, both;

	if (!s->skip || !e->cursor || !cursor_parse(&c, e->cursor, strlen(e->cursor)))
		return frame_ref(event_frame(e, FORM_SSE_DJANGO, view));
	if (cursor_covers(&c, s->skip)) {
		free(s->skip);
		s->skip = NULL;
		return frame_ref(event_frame(e, FORM_SSE_DJANGO, view));
	}
	cursor_union(&both, s->skip, &c);
	both.loss = c.loss;
	cursor_format(&both, &text);
	return event_frame_with(e, FORM_SSE_DJANGO, view, text.text);
}

/* Throws the letter away; its events up to replay_next have gone already. */
void stream_drop_replay(struct stream *s)
{
	struct post_replay *p = s->replay;

	for (size_t i = 0; i < s->replay_next; i++)
		p->events[i] = NULL;
	post_replay_free(p);
	s->replay = NULL;
}

static const struct scope_policy *policy_of(const struct stream *s)
{
	return &s->worker->hub.policies[s->member.role];
}

/* Queues an event of the past when this principal may see it, by today's rights. `own` is the id to
 * send, NULL for what stream_frame_for() says. */
static void queue_past(struct stream *s, struct event *e, const char *own)
{
	enum scope_view view = event_view(e, policy_of(s), s->member.who);
	struct frame *f;

	if (view == VIEW_NOTHING)
		return;
	f = own ? event_frame_with(e, FORM_SSE_DJANGO, view, own) : stream_frame_for(s, e, view);
	queue_force(&s->queue, f);
	frame_unref(f);
	s->n_events++;
}

/* Whether more of the past may be queued: one writev's worth, and no more bytes than the route
 * allows. */
static bool has_room(const struct stream *s)
{
	return s->queue.n < STREAM_MAX_IOV && s->queue.bytes < s->queue.max_bytes;
}

static void go_live(struct stream *s)
{
	uint64_t loss = s->worker->position_cursor.loss;

	if (s->loss != loss) /* something was not recorded before this */
		stream_queue_reset(s, "loss", NULL);
	s->loss = loss;
	s->state = STREAM_LIVE;
	hub_join(&s->worker->hub, &s->member);
}

/* The rest of a transaction of which the client has the beginning goes first: an id can tell of
 * one such transaction only. */
static void finish_half(struct stream *s)
{
	struct ring *ring = &s->worker->hub.ring;
	struct cursor *skip = s->skip;
	bool found = false;

	if (!skip || !skip->txid)
		return;
	for (uint64_t seq = ring->tail; seq < ring->head; seq++) {
		struct event *e = ring_at(ring, seq), *next = ring_at(ring, seq + 1);
		struct cursor_text text;

		if (e->txid != skip->txid)
			continue;
		found = true;
		if (e->id <= skip->id)
			continue;
		skip->id = e->id;
		if (!next || next->txid != skip->txid)
			cursor_complete(skip);
		cursor_format(skip, &text);
		queue_past(s, e, text.text);
		if (!skip->txid)
			return;
	}
	if (found) /* it had been told to the end already */
		cursor_complete(skip);
}

static void read_ring(struct stream *s)
{
	struct ring *ring = &s->worker->hub.ring;

	if (s->ring_seq < ring->tail) {
		stream_close(s, "overflow: the client reads too slowly to catch up");
		return;
	}
	for (size_t i = 0; i < MAX_SCAN && has_room(s); i++) {
		struct event *e = ring_at(ring, s->ring_seq);

		if (!e) {
			go_live(s);
			break;
		}
		s->ring_seq++;
		if (!stream_had(s, e))
			queue_past(s, e, NULL);
	}
	if (s->state != STREAM_LIVE || s->queue.n)
		worker_dirty(s->worker, &s->dirty);
}

static void ask_journal(struct stream *s)
{
	struct post_replay *p = s->replay;

	if (!p) {
		p = s->replay = xcalloc(1, sizeof(*p));
		p->letter.kind = POST_REPLAY;
		p->reply_to = &s->worker->inbox;
		p->asker = s;
		p->from = *s->skip;
	}
	if (!p->plan) /* what the ring holds from here on may come after that answer */
		s->ring_seq = s->worker->hub.ring.head;
	s->replay_away = true;
	inbox_post(s->worker->db, &p->letter);
}

/* The ring serves who was away shortly; the journal everybody else, and whoever is ahead of this
 * daemon, so that the database can say whether that position exists. */
static bool ring_serves(struct stream *s)
{
	const struct ring *ring = &s->worker->hub.ring;

	if (!s->skip)
		return s->ring_seq >= ring->tail;
	s->ring_seq = ring->tail;
	return ring_covers(ring, s->skip) && s->skip->xmax <= s->worker->position_cursor.xmax;
}

/* The position that the hello told the client, for a stream that lost its place in the ring
 * before it began. */
static struct cursor *position_of_hello(const struct stream *s)
{
	struct cursor *c = xcalloc(1, sizeof(*c));
	const char *id = strstr(s->hello, "\nid: ");
	bool ok = id && cursor_parse(c, id + 5, strcspn(id + 5, "\n"));

	assert(ok); /* make_hello() wrote it */
	(void)ok;
	return c;
}

static void read_journal(struct stream *s)
{
	struct post_replay *p = s->replay;

	if (s->replay_away)
		return;
	for (; s->replay_next < p->n && has_room(s); s->replay_next++) {
		queue_past(s, p->events[s->replay_next], p->events[s->replay_next]->cursor);
		event_unref(p->events[s->replay_next]);
	}
	if (s->queue.n)
		worker_dirty(s->worker, &s->dirty);
	if (s->replay_next < p->n)
		return;
	free(p->events);
	p->events = NULL;
	p->n = s->replay_next = 0;
	if (p->verdict == REPLAY_MORE) {
		ask_journal(s);
		return;
	}
	/* REPLAY_DONE: all up to p->from; the ring has the rest, unless this took too long. */
	*s->skip = p->from;
	if (s->ring_seq < s->worker->hub.ring.tail) {
		ask_journal(s);
		return;
	}
	free(p); /* its plan is gone with the last page */
	s->replay = NULL;
	s->state = STREAM_CATCHING;
	worker_dirty(s->worker, &s->dirty);
}

void stream_continue(struct stream *s)
{
	if (s->state == STREAM_CATCHING)
		read_ring(s);
	else if (s->state == STREAM_REPLAYING)
		read_journal(s);
}

void stream_replayed(struct stream *s)
{
	struct post_replay *p = s->replay;

	s->replay_away = false;
	s->replay_next = 0;
	if (s->state == STREAM_CLOSING) { /* it only sends its rest now */
		stream_drop_replay(s);
		return;
	}
	if (p->verdict == REPLAY_UNAVAILABLE) {
		stream_close(s, "replay failed: the database is away");
		return;
	}
	if (p->verdict == REPLAY_RESET) {
		const char *reason = p->reason;

		stream_drop_replay(s);
		free(s->skip);
		s->skip = NULL;
		s->ring_seq = s->worker->hub.ring.head;
		s->state = STREAM_CATCHING;
		stream_queue_reset(s, reason, s->worker->position.text);
		worker_dirty(s->worker, &s->dirty);
		return;
	}
	stream_continue(s);
}

void stream_restart(struct stream *s)
{
	free(s->skip);
	s->skip = NULL;
	s->loss = s->worker->position_cursor.loss;
	if (s->state != STREAM_LIVE) /* it comes back, and its id tells what it needs */
		stream_end(s, "the journal began anew before the stream caught up");
}

bool stream_finds_past(struct stream *s)
{
	bool from_ring = ring_serves(s);

	if (!from_ring && !s->skip)
		s->skip = position_of_hello(s);
	return from_ring;
}

void stream_begin_past(struct stream *s, bool from_ring)
{
	s->state = from_ring ? STREAM_CATCHING : STREAM_REPLAYING;
	if (from_ring) {
		finish_half(s);
		read_ring(s); /* at once: it may already hold the last events only */
	} else
		ask_journal(s);
}
