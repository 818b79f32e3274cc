/* SPDX-License-Identifier: PostgreSQL
 * What a client missed, from the ring or by way of the journal, until the stream is live. See
 * stream.h.
 *
 * Documents have the names of the moment at which they are told. What is told after an outage, or
 * when the daemon starts, may have those of rows that have left a user meanwhile: who hears his own
 * is not given such an event from the ring, but has the journal look whether the row is still his.
 */
#include "config.h"
#include "web/stream_past.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "conf.h"
#include "web/worker.h"

#define MAX_SCAN 2000 /* ring entries looked at per turn and stream */

static const struct scope_policy *policy_of(const struct stream *s)
{
	return &s->worker->hub.policies[s->member.role];
}

void stream_queue_past(struct stream *s, struct event *e, const char *own)
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

bool stream_has_room(const struct stream *s)
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
	if (s->is_answer && s->n_events) /* what it told was not known to be all */
		worker_dirty(s->worker, &s->dirty);
}

void stream_fall_behind(struct stream *s, uint64_t seq)
{
	struct worker *w = s->worker;

	hub_leave(&w->hub, &s->member);
	s->state = STREAM_CATCHING;
	s->ring_seq = seq;
	s->loss = w->position_cursor.loss; /* it was told when it was live */
	stream_note_place(s, w->position.text);
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
		stream_queue_past(s, e, text.text);
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

bool stream_hears_own(const struct stream *s)
{
	return !principal_hears_all(s->member.who, policy_of(s));
}

/* Whether it must not be given the event at ring_seq as it is. */
static bool is_late(const struct stream *s, const struct event *e)
{
	return s->ring_seq < s->worker->late_seq && stream_hears_own(s) && !stream_had(s, e) &&
	       (e->op == 'i' || e->op == 'u') &&
	       event_view(e, policy_of(s), s->member.who) != VIEW_NOTHING;
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
	stream_ask_journal(s);
}

static void read_ring(struct stream *s)
{
	struct ring *ring = &s->worker->hub.ring;

	if (s->ring_seq < ring->tail) {
		leave_ring(s);
		return;
	}
	if (!s->worker->database_up && stream_hears_own(s))
		return; /* stream_database() goes on */
	if (s->half_first && !stream_is_held(s))
		finish_half(s);
	for (size_t i = 0; i < MAX_SCAN && stream_has_room(s) && !s->half_first; i++) {
		struct event *e = ring_at(ring, s->ring_seq);

		if (s->ring_seq >= s->wall)
			break;
		if (!e) {
			go_live(s);
			break;
		}
		if (is_late(s, e)) {
			stream_note_place(s, NULL);
			leave_ring(s);
			return;
		}
		s->ring_seq++;
		note_loss(s, e);
		if (!stream_had(s, e))
			stream_queue_past(s, e, NULL);
	}
	if (s->state != STREAM_LIVE)
		stream_note_place(s, NULL);
	/* Behind a wall nothing more can be read before rechecked() goes on. */
	if (s->queue.n || (s->state != STREAM_LIVE && s->ring_seq < s->wall && !s->half_first))
		worker_dirty(s->worker, &s->dirty);
}

/* The ring serves who was away shortly; the journal everybody else, and whoever is ahead of this
 * daemon, so that the database can say whether that position exists. */
static bool ring_serves(const struct stream *s)
{
	const struct ring *ring = &s->worker->hub.ring;

	if (s->skip->txid && stream_hears_own(s) && ring->tail < s->worker->late_seq)
		return false; /* the rest of a transaction may have been told late */
	return ring_covers(ring, s->skip) && s->skip->xmax <= s->worker->position_cursor.xmax;
}

static bool position_at_hello(const struct stream *s, struct cursor *ret)
{
	autofree char *id = stream_position_of_hello(s);

	return cursor_parse(ret, id, strlen(id));
}

void stream_continue(struct stream *s)
{
	if (s->state == STREAM_CATCHING)
		read_ring(s);
	else if (s->state == STREAM_REPLAYING)
		stream_read_journal(s);
}

void stream_database(struct stream *s)
{
	if (!s->worker->database_up && s->state == STREAM_LIVE && stream_hears_own(s))
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

void stream_begin_past(struct stream *s)
{
	const struct ring *ring = &s->worker->hub.ring;
	struct cursor at;

	s->state = STREAM_CATCHING;
	s->journal_next = s->skip && !ring_serves(s);
	if (s->skip && !s->journal_next) {
		s->ring_seq = ring->tail;
		s->half_first = s->skip->txid != 0;
	}
	if (s->skip && stream_ask_joined(s)) {
		; /* which goes before all that */
	} else if (s->journal_next) {
		s->journal_next = false;
		stream_ask_journal(s);
	} else if (s->skip) {
		read_ring(s); /* at once: it may already hold the last events only */
	} else if (s->worker->conf->publishers.n && position_at_hello(s, &at)) {
		stream_ask_kept(s, &at);
	} else {
		if (s->ring_seq < ring->tail)
			s->place = stream_position_of_hello(s);
		read_ring(s);
		if (s->state == STREAM_CATCHING && !s->place)
			s->place = stream_position_of_hello(s);
	}
	free(s->hello);
	s->hello = NULL;
}
