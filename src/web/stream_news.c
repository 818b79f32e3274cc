/* SPDX-License-Identifier: PostgreSQL
 * What a stream's client is told of an event: whether at all, in which frame and with which id; and
 * what only it is told, to fetch again. See stream.h. */
#include "config.h"
#include "web/stream_past.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "hub/filter.h"
#include "web/worker.h"

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

bool stream_wants(struct stream *s, struct event *e)
{
	autofree char *topics = NULL;

	if (!s->filter)
		return true;
	if (!filter_wants_of(s->filter, e, &topics))
		return false;
	if (!topics)
		return true;
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
			stream_set_place(s, e->cursor);
		return frame_ref(event_frame(e, s->form, view));
	}
	cursor_union(&both, s->skip, &c);
	both.loss = c.loss;
	cursor_format(&both, &text);
	return event_frame_with(e, s->form, view, text.text);
}
