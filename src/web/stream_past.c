/* SPDX-License-Identifier: PostgreSQL
 * What a client missed: from the ring, or from the journal, until the stream is live; and the id
 * that tells a client that knows more than this daemon has told. See stream.h.
 *
 * Documents have the names of the moment at which they are told. What is told after an outage, or
 * when the daemon starts, may have those of rows that have left a user meanwhile: who hears his own
 * is not given such an event from the ring, but has the journal look whether the row is still his.
 */
#include "config.h"
#include "web/stream.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "conf.h"
#include "hub/filter.h"
#include "web/worker.h"

#define MAX_SCAN 2000 /* ring entries looked at per turn and stream */

static void queue_resync(struct stream *s, const char *reason, const char *topics, const char *id)
{
	autofree char *wanted = s->filter ? filter_topics(s->filter, topics) : NULL;
	struct event *e;

	if (s->filter && !wanted)
		return;
	e = event_resync(reason, wanted ? wanted : topics, id, (int64_t)time(NULL));
	queue_force(&s->queue, event_frame(e, s->form, VIEW_WHOLE));
	event_unref(e);
	s->n_events++;
}

/* "Refetch everything": the client's position is of no use any more. Only for this stream. */
void stream_queue_reset(struct stream *s, const char *reason, const char *id)
{
	queue_resync(s, reason, s->worker->topics, id);
}

void stream_queue_gap(struct stream *s)
{
	queue_resync(s, "gap", s->worker->live_topics, NULL);
}

static void set_place(struct stream *s, const char *id)
{
	if (s->place && !strcmp(s->place, id))
		return;
	free(s->place);
	s->place = xstrdup(id);
}

bool stream_wants(struct stream *s, struct event *e)
{
	autofree char *topics = NULL;

	if (!s->filter)
		return true;
	if (e->op != 'r')
		return filter_wants(s->filter, e);
	topics = filter_topics(s->filter, e->leave);
	if (!topics || !strcmp(topics, e->leave))
		return topics != NULL;
	queue_resync(s, e->doc, topics, s->skip ? NULL : e->cursor);
	if (!s->blocked)
		worker_dirty(s->worker, &s->dirty);
	return false;
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
		return frame_ref(event_frame(e, s->form, view));
	if (cursor_covers(&c, s->skip)) {
		free(s->skip);
		s->skip = NULL;
		if (s->state != STREAM_LIVE)
			set_place(s, e->cursor);
		return frame_ref(event_frame(e, s->form, view));
	}
	cursor_union(&both, s->skip, &c);
	both.loss = c.loss;
	cursor_format(&both, &text);
	return event_frame_with(e, s->form, view, text.text);
}

/* Throws the letter away; its events up to replay_next have gone already. */
void stream_drop_replay(struct stream *s)
{
	struct post_replay *p = s->replay;

	for (size_t i = 0; i < s->replay_next; i++)
		p->events[i] = NULL;
	post_replay_free(p);
	s->replay = NULL;
	s->replay_next = 0;
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

	if (view == VIEW_NOTHING || !stream_wants(s, e))
		return;
	f = own ? event_frame_with(e, s->form, view, own) : stream_frame_for(s, e, view);
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
	free(s->place);
	s->place = NULL;
	hub_join(&s->worker->hub, &s->member);
}

/* The id of the last event before `seq` that has one, looked for among a few; or NULL. */
static const char *id_before(const struct ring *ring, uint64_t seq)
{
	for (int i = 0; i < STREAM_MAX_IOV && seq > ring->tail; i++) {
		const struct event *e = ring_at(ring, --seq);

		if (e->cursor)
			return e->cursor;
	}
	return NULL;
}

/* Notes the position with all before ring_seq; one that is too early does no harm. */
static void note_place(struct stream *s, const char *otherwise)
{
	const char *id = id_before(&s->worker->hub.ring, s->ring_seq);

	if (id || otherwise)
		set_place(s, id ? id : otherwise);
}

void stream_fall_behind(struct stream *s, uint64_t seq)
{
	struct worker *w = s->worker;

	hub_leave(&w->hub, &s->member);
	s->state = STREAM_CATCHING;
	s->ring_seq = seq;
	s->loss = w->position_cursor.loss; /* it was told when it was live */
	note_place(s, w->position.text);
}

/* The rest of a transaction of which the client has the beginning goes first: an id can tell of
 * one such transaction only. */
static void finish_half(struct stream *s)
{
	struct ring *ring = &s->worker->hub.ring;
	struct cursor *skip = s->skip;
	bool found = false;

	s->half_first = false;
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

/* A loss that stands in no row tells the counter of its moment. */
static void note_loss(struct stream *s, const struct event *e)
{
	struct cursor c;

	if (!e->txid && e->op == 'r' && e->cursor && cursor_parse(&c, e->cursor, strlen(e->cursor)))
		s->loss = c.loss;
}

static bool hears_own(const struct stream *s)
{
	return !principal_hears_all(s->member.who, policy_of(s));
}

/* Whether it must not be given the event at ring_seq as it is. */
static bool is_late(const struct stream *s, const struct event *e)
{
	return s->ring_seq < s->worker->late_seq && hears_own(s) && !stream_had(s, e) &&
	       (e->op == 'i' || e->op == 'u') &&
	       event_view(e, policy_of(s), s->member.who) != VIEW_NOTHING;
}

static void leave_ring(struct stream *s);

static void read_ring(struct stream *s)
{
	struct ring *ring = &s->worker->hub.ring;

	if (s->ring_seq < ring->tail) {
		leave_ring(s);
		return;
	}
	if (!s->worker->database_up && hears_own(s))
		return; /* stream_database() goes on */
	if (s->half_first && !stream_is_held(s))
		finish_half(s);
	for (size_t i = 0; i < MAX_SCAN && has_room(s) && !s->half_first; i++) {
		struct event *e = ring_at(ring, s->ring_seq);

		if (s->ring_seq >= s->wall)
			break;
		if (!e) {
			go_live(s);
			break;
		}
		if (is_late(s, e)) {
			note_place(s, NULL);
			leave_ring(s);
			return;
		}
		s->ring_seq++;
		note_loss(s, e);
		if (!stream_had(s, e))
			queue_past(s, e, NULL);
	}
	if (s->state != STREAM_LIVE)
		note_place(s, NULL);
	/* Behind a wall nothing more can be read before rechecked() goes on. */
	if (s->queue.n || (s->state != STREAM_LIVE && s->ring_seq < s->wall && !s->half_first))
		worker_dirty(s->worker, &s->dirty);
}

static void make_replay(struct stream *s)
{
	struct post_replay *p = s->replay = xcalloc(1, sizeof(*p));

	p->letter.kind = POST_REPLAY;
	p->reply_to = &s->worker->inbox;
	p->asker = s;
	p->user_id = xstrdup(s->member.who->user_id);
	p->channels = keys_copy(s->member.who->channels);
	if (s->member.who->session)
		p->session = xstrdup(s->member.who->session);
	p->from = *s->skip;
}

static void send_replay(struct stream *s)
{
	s->state = STREAM_REPLAYING;
	s->replay_away = true;
	inbox_post(s->worker->db, &s->replay->letter);
}

static void ask_journal(struct stream *s)
{
	struct post_replay *p;

	if (!s->replay)
		make_replay(s);
	p = s->replay;
	if (!p->plan) {
		p->own = hears_own(s);
		s->replay_stale = false;
		/* What the ring holds from here on may come after that answer. */
		s->ring_seq = s->worker->hub.ring.head;
	}
	send_replay(s);
}

/* Who has just come gets the messages that are kept, before anything else. `at` is the position of
 * his greeting: what is not in it comes by the ring, from where it is noted. */
static void ask_kept(struct stream *s, const struct cursor *at)
{
	s->skip = xcalloc(1, sizeof(*s->skip));
	*s->skip = *at;
	make_replay(s);
	s->replay->kept = true;
	send_replay(s);
}

/* The ring has dropped what comes next, so the journal must have it. */
static void leave_ring(struct stream *s)
{
	struct cursor at, both;

	if (s->place && cursor_parse(&at, s->place, strlen(s->place))) {
		both = at;
		if (s->skip)
			cursor_union(&both, s->skip, &at);
		else
			s->skip = xcalloc(1, sizeof(*s->skip));
		*s->skip = both;
	}
	assert(s->skip);
	if (s->worker->live_topics) /* those are in no journal */
		stream_queue_gap(s);
	ask_journal(s);
}

/* The ring serves who was away shortly; the journal everybody else, and whoever is ahead of this
 * daemon, so that the database can say whether that position exists. */
static bool ring_serves(const struct stream *s)
{
	const struct ring *ring = &s->worker->hub.ring;

	if (s->skip->txid && hears_own(s) && ring->tail < s->worker->late_seq)
		return false; /* the rest of a transaction may have been told late */
	return ring_covers(ring, s->skip) && s->skip->xmax <= s->worker->position_cursor.xmax;
}

/* The position that the hello told the client, for a stream that begins there. */
static char *position_of_hello(const struct stream *s)
{
	return xstrdup(s->hello + s->hello_len + 1);
}

static bool position_at_hello(const struct stream *s, struct cursor *ret)
{
	autofree char *id = position_of_hello(s);

	return cursor_parse(ret, id, strlen(id));
}

/* What is in the page may be later than a change of rights that stands in it as well. */
static bool page_has_rights(const struct stream *s)
{
	for (size_t i = 0; i < s->replay->n; i++)
		if (s->replay->events[i]->op == 'a' &&
		    stream_is_concerned(s, &s->replay->events[i]->before))
			return true;
	return false;
}

/* Queues what there is room for. The client is then as far as the last one. */
static void queue_page(struct stream *s)
{
	struct post_replay *p = s->replay;
	uint32_t first = s->replay_next;

	for (; s->replay_next < p->n && has_room(s); s->replay_next++)
		if (!p->kept || stream_had(s, p->events[s->replay_next]))
			queue_past(s, p->events[s->replay_next], p->events[s->replay_next]->cursor);
	if (s->replay_next > first) {
		const char *id = p->events[s->replay_next - 1]->cursor;
		bool ok = cursor_parse(s->skip, id, strlen(id));

		assert(ok); /* the database side wrote it */
		(void)ok;
	}
	for (; first < s->replay_next; first++)
		event_unref(p->events[first]);
	if (s->queue.n)
		worker_dirty(s->worker, &s->dirty);
}

/* The position is worth nothing: it begins anew with what comes from now on. */
static void begin_anew(struct stream *s, const char *reason)
{
	stream_drop_replay(s);
	free(s->skip);
	s->skip = NULL;
	stream_fall_behind(s, s->worker->hub.ring.head);
	stream_queue_reset(s, reason, s->worker->position.text);
	worker_dirty(s->worker, &s->dirty);
}

/* All up to p->from has been queued; the ring has the rest, unless this took too long. */
static void end_replay(struct stream *s)
{
	struct post_replay *p = s->replay;

	*s->skip = p->from;
	p->kept = false;
	if (s->ring_seq < s->worker->hub.ring.tail) {
		ask_journal(s);
		return;
	}
	stream_drop_replay(s);
	s->state = STREAM_CATCHING;
	worker_dirty(s->worker, &s->dirty);
}

/* Whether what has been asked for is what it may hear by now. If not it asks anew. */
static bool asked_rightly(struct stream *s)
{
	if (s->replay->kept || (s->replay->own == hears_own(s) && !s->replay_stale))
		return true;
	stream_drop_replay(s);
	ask_journal(s);
	return false;
}

static void read_journal(struct stream *s)
{
	struct post_replay *p = s->replay;

	if (s->replay_away || s->page_waits || !asked_rightly(s))
		return;
	if (p->verdict == REPLAY_RESET) {
		begin_anew(s, p->reason);
		return;
	}
	queue_page(s);
	if (s->replay_next < p->n)
		return;
	free(p->events);
	p->events = NULL;
	p->n = 0;
	s->replay_next = 0;
	if (p->verdict == REPLAY_MORE)
		ask_journal(s);
	else
		end_replay(s);
}

void stream_set_channels(struct stream *s, struct keys *channels)
{
	hub_leave(&s->worker->hub, &s->member);
	free(s->member.who->channels);
	s->member.who->channels = channels;
	if (s->state == STREAM_LIVE)
		hub_join(&s->worker->hub, &s->member);
	else if (s->state == STREAM_REPLAYING && !s->replay->kept)
		s->replay_stale = true;
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
	if (p->verdict == REPLAY_UNAVAILABLE && p->kept) { /* or he would never get them */
		send_replay(s);
		return;
	}
	if (p->verdict == REPLAY_UNAVAILABLE) {
		stream_end(s, END_UNAVAILABLE, "replay failed: the database is away");
		return;
	}
	if (stream_is_held(s) || page_has_rights(s))
		stream_hold_page(s);
	stream_continue(s);
}

void stream_database(struct stream *s)
{
	if (!s->worker->database_up && s->state == STREAM_LIVE && hears_own(s))
		stream_fall_behind(s, s->worker->hub.ring.head);
	else if (s->worker->database_up)
		stream_continue(s);
}

void stream_restart(struct stream *s)
{
	if (s->state == STREAM_STARTING || s->state == STREAM_REPLAYING) {
		/* It comes back, and its id tells what it needs. */
		stream_end(s, END_RESTART, "the journal began anew before the stream caught up");
		return;
	}
	free(s->skip);
	s->skip = NULL;
	s->half_first = false;
	s->loss = s->worker->position_cursor.loss;
	if (s->state == STREAM_CATCHING)
		stream_fall_behind(s, s->worker->hub.ring.head);
}

/* What it has been given of the past is in `skip`, or before `place`; who is live has got all. */
void stream_position(const struct stream *s, struct cursor_text *ret)
{
	const struct worker *w = s->worker;
	struct cursor at = w->position_cursor, both;
	bool live = s->state == STREAM_LIVE;

	if (live && !s->skip) {
		*ret = w->position;
		return;
	}
	if (!live) {
		autofree char *place = s->place	  ? xstrdup(s->place)
				       : s->hello ? position_of_hello(s)
						  : NULL;

		if (!place || !cursor_parse(&at, place, strlen(place))) {
			assert(s->skip); /* its client came with it */
			at = *s->skip;
		}
	}
	if (s->skip)
		cursor_union(&both, s->skip, &at);
	else
		both = at;
	both.loss = live ? w->position_cursor.loss : s->loss;
	cursor_format(&both, ret);
}

void stream_begin_past(struct stream *s)
{
	const struct ring *ring = &s->worker->hub.ring;
	struct cursor at;

	s->state = STREAM_CATCHING;
	if (s->skip && !ring_serves(s)) {
		ask_journal(s);
	} else if (s->skip) {
		s->ring_seq = ring->tail;
		s->half_first = s->skip->txid != 0;
		read_ring(s); /* at once: it may already hold the last events only */
	} else if (s->worker->conf->publishers.n && position_at_hello(s, &at)) {
		ask_kept(s, &at);
	} else {
		if (s->ring_seq < ring->tail)
			s->place = position_of_hello(s);
		read_ring(s);
		if (s->state == STREAM_CATCHING && !s->place)
			s->place = position_of_hello(s);
	}
	free(s->hello);
	s->hello = NULL;
}
