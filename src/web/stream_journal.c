/* SPDX-License-Identifier: PostgreSQL
 * What a stream reads from the journal: a letter that goes to the database and comes back with a
 * page, until the ring has the rest. See stream.h. */
#include "config.h"
#include "web/stream_past.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "web/worker.h"

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

void stream_make_replay(struct stream *s)
{
	struct post_replay *p = s->replay = xcalloc(1, sizeof(*p));
	const char *session = principal_session(s->member.who);

	p->letter.kind = POST_REPLAY;
	p->reply_to = &s->worker->inbox;
	p->asker = s;
	p->user_id = xstrdup(s->member.who->user_id);
	p->channels = keys_copy(s->member.who->channels);
	if (session)
		p->session = xstrdup(session);
	p->from = *s->skip;
}

void stream_send_replay(struct stream *s)
{
	s->state = STREAM_REPLAYING;
	s->replay_away = true;
	inbox_post(s->worker->db, &s->replay->letter);
}

void stream_ask_journal(struct stream *s)
{
	struct post_replay *p;

	if (!s->replay)
		stream_make_replay(s);
	p = s->replay;
	if (!p->plan) {
		p->own = stream_hears_own(s);
		s->replay_stale = false;
		/* What the ring holds from here on may come after that answer. */
		s->ring_seq = s->worker->hub.ring.head;
	}
	stream_send_replay(s);
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

	for (; s->replay_next < p->n && stream_has_room(s); s->replay_next++)
		if (!p->kept || stream_gets_kept(s, p->events[s->replay_next]))
			stream_queue_past(s, p->events[s->replay_next],
					  p->events[s->replay_next]->cursor);
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
	*s->skip = s->replay->from;
	stream_drop_replay(s);
	if (stream_ask_joined(s))
		return;
	if (s->journal_next || s->ring_seq < s->worker->hub.ring.tail) {
		s->journal_next = false;
		stream_ask_journal(s);
		return;
	}
	s->state = STREAM_CATCHING;
	worker_dirty(s->worker, &s->dirty);
}

/* Whether what has been asked for is what it may hear by now. If not it asks anew. */
static bool asked_rightly(struct stream *s)
{
	if (s->replay->kept || (s->replay->own == stream_hears_own(s) && !s->replay_stale))
		return true;
	stream_drop_replay(s);
	s->journal_next = stream_ask_joined(s);
	if (!s->journal_next)
		stream_ask_journal(s);
	return false;
}

void stream_read_journal(struct stream *s)
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
	post_replay_count(p, false);
	free(p->events);
	p->events = NULL;
	p->n = 0;
	s->replay_next = 0;
	if (p->verdict == REPLAY_MORE)
		stream_ask_journal(s);
	else
		end_replay(s);
}

void stream_set_channels(struct stream *s, struct keys *channels)
{
	hub_leave(&s->worker->hub, &s->member);
	(void)!seat_join(s->worker->registry, s->route, channels, false);
	seat_part(s->worker->registry, s->route, s->member.who->channels);
	free(s->member.who->channels);
	s->member.who->channels = channels;
	if (s->state == STREAM_LIVE)
		hub_join(&s->worker->hub, &s->member);
	else if (s->state == STREAM_REPLAYING && !s->replay->kept)
		s->replay_stale = true;
}

void stream_replayed(struct stream *s)
{
	struct post_replay *p = s->replay;

	s->replay_away = false;
	s->replay_next = 0;
	post_replay_count(p, true);
	if (s->state == STREAM_CLOSING) { /* it only sends its rest now */
		stream_drop_replay(s);
		return;
	}
	if (p->verdict == REPLAY_UNAVAILABLE && p->kept) { /* or he would never get them */
		stream_send_replay(s);
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
