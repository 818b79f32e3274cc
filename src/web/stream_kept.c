/* SPDX-License-Identifier: PostgreSQL
 * Messages that are kept for who comes: to a stream that begins, and to one that hears a channel
 * more. They go before anything else, and say where the stream stands; what its position does not
 * have comes by the ring or the journal, so that nothing is told twice and nothing is left out. See
 * stream.h. */
#include "config.h"
#include "web/stream_past.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "conf.h"
#include "web/worker.h"

static void set_skip(struct stream *s, const struct cursor *at)
{
	if (!s->skip)
		s->skip = xcalloc(1, sizeof(*s->skip));
	*s->skip = *at;
}

void stream_ask_kept(struct stream *s, const struct cursor *at)
{
	free(s->joined); /* they are among all of its channels */
	s->joined = NULL;
	set_skip(s, at);
	stream_make_replay(s);
	s->replay->kept = true;
	stream_send_replay(s);
}

bool stream_ask_joined(struct stream *s)
{
	if (!s->joined)
		return false;
	stream_make_replay(s);
	free(s->replay->channels);
	s->replay->channels = s->joined;
	s->joined = NULL;
	s->replay->kept = s->replay->channels_only = true;
	stream_send_replay(s);
	return true;
}

bool stream_gets_kept(const struct stream *s, const struct event *e)
{
	const struct ring *ring = &s->worker->hub.ring;

	if (stream_had(s, e))
		return true;
	/* A position may have forgotten what is in it, where many transactions are open. */
	for (uint64_t seq = ring->tail; seq < s->ring_seq && !s->journal_next; seq++) {
		const struct event *told = ring_at(ring, seq);

		if (told->txid == e->txid && told->id == e->id)
			return true;
	}
	return false;
}

/* It has read the ring up to ring_seq: what stands before that is its position. */
static void stand_still(struct stream *s)
{
	struct cursor_text text;
	struct cursor at;
	bool ok;

	if (s->state == STREAM_LIVE) {
		stream_position(s, &text);
		stream_fall_behind(s, s->worker->hub.ring.head);
	} else if (s->half_first) { /* nothing of it has been read yet */
		return;
	} else {
		stream_find_place(s);
		stream_position(s, &text);
	}
	ok = cursor_parse(&at, text.text, strlen(text.text));
	assert(ok); /* we wrote it */
	(void)ok;
	set_skip(s, &at);
}

static void add_joined(struct stream *s, struct keys *joined)
{
	size_t n = s->joined ? s->joined->n : 0;
	struct keys all = {xcalloc(n + joined->n, sizeof(*all.list)), n + joined->n};
	struct keys *both;

	for (size_t i = 0; i < n; i++)
		all.list[i] = s->joined->list[i];
	for (size_t i = 0; i < joined->n; i++)
		all.list[n + i] = joined->list[i];
	keys_sort(&all);
	both = keys_copy(&all);
	free(all.list);
	free(s->joined);
	free(joined);
	s->joined = both;
}

void stream_join(struct stream *s, struct keys *channels, struct keys *joined)
{
	stream_set_channels(s, channels);
	if (!joined)
		return;
	if (!s->worker->conf->publishers.n || s->state == STREAM_CLOSING) {
		free(joined);
		return;
	}
	add_joined(s, joined);
	/* Who has not begun, or reads the journal, asks before he goes on. */
	if (s->state == STREAM_LIVE || s->state == STREAM_CATCHING) {
		stand_still(s);
		(void)!stream_ask_joined(s);
	}
}
