/* SPDX-License-Identifier: PostgreSQL
 * Where a stream's client stands: what it came with, and up to which event it has been told. See
 * stream.h. */
#include "config.h"
#include "web/stream_past.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "web/worker.h"

void stream_set_place(struct stream *s, const char *id)
{
	if (s->place && !strcmp(s->place, id))
		return;
	free(s->place);
	s->place = xstrdup(id);
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

void stream_note_place(struct stream *s, const char *otherwise)
{
	const char *id = id_before(&s->worker->hub.ring, s->ring_seq);

	if (id || otherwise)
		stream_set_place(s, id ? id : otherwise);
}

void stream_find_place(struct stream *s)
{
	const struct ring *ring = &s->worker->hub.ring;

	for (uint64_t seq = s->ring_seq; seq > ring->tail;) {
		const struct event *e = ring_at(ring, --seq);

		if (e->cursor) {
			stream_set_place(s, e->cursor);
			return;
		}
	}
}

char *stream_position_of_hello(const struct stream *s)
{
	return xstrdup(s->hello + s->hello_len + 1);
}

void stream_forget_past(struct stream *s)
{
	if (!s->skip || s->state != STREAM_LIVE ||
	    !cursor_covers(&s->worker->position_cursor, s->skip))
		return;
	free(s->skip);
	s->skip = NULL;
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
				       : s->hello ? stream_position_of_hello(s)
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
