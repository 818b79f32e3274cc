/* SPDX-License-Identifier: PostgreSQL
 * See wheel.h. */
#include "config.h"
#include "web/wheel.h"

#include "web/stream.h"
#include "web/words.h"
#include "web/worker.h"

static void wheel_put(struct worker *w, struct stream *s)
{
	uint64_t period = s->route->keepalive_ms / 1000;

	s->keepalive_s = (uint32_t)(w->wheel_s + (period ? period : 1));
	list_push(&w->wheel[s->keepalive_s % WHEEL_SLOTS], &s->wheel);
}

void wheel_begin(struct worker *w, struct stream *s)
{
	if (s->keepalive_s > w->wheel_s)
		list_push(&w->wheel[s->keepalive_s % WHEEL_SLOTS], &s->wheel);
	else
		wheel_put(w, s);
}

void wheel_turn(struct worker *w)
{
	/* With the id, a quiet client's Last-Event-ID moves along and it need not replay hours. */
	struct words with_id = {.write = words_keepalive, .text = w->position.text};
	struct words without = {.write = words_keepalive};
	struct list due;

	if (list_empty(&w->wheel[w->wheel_s % WHEEL_SLOTS]))
		return;
	list_init(&due);
	list_splice(&due, &w->wheel[w->wheel_s % WHEEL_SLOTS]);
	while (!list_empty(&due)) {
		struct stream *s = LIST_ENTRY(due.next, struct stream, wheel);

		list_remove(&s->wheel);
		if (s->keepalive_s > w->wheel_s) { /* a period longer than the wheel */
			list_push(&w->wheel[s->keepalive_s % WHEEL_SLOTS], &s->wheel);
			continue;
		}
		wheel_put(w, s);
		if (s->fd.fd < 0)
			continue;
		/* A stream that is ahead of this worker, or behind it, keeps its own position. */
		stream_keep_alive(
			s, words_in(s->state == STREAM_LIVE && !s->skip ? &with_id : &without,
				    s->form));
	}
	words_free(&with_id);
	words_free(&without);
}
