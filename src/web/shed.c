/* SPDX-License-Identifier: PostgreSQL
 * See shed.h. A stream is weighed by what would be free without it: of a frame that many wait for
 * each has its part, and what is in the ring anyway weighs nothing. */
#include "config.h"
#include "web/shed.h"

#include <stdlib.h>

#include "web/stream.h"
#include "web/talk.h"
#include "web/worker.h"

#define PAUSE_MS 100 /* before a look that found nobody is repeated */
#define REASON	 "client_memory is used up, and most of it waits for this client"

struct slow {
	struct stream *stream;
	uint64_t bytes; /* that wait for it */
};

static struct budget *budget_of(const struct worker *w)
{
	return &w->commons->budget;
}

static uint64_t waits_for(const struct stream *s)
{
	uint64_t bytes = s->queue.cap * sizeof(*s->queue.items);

	if (s->fd.fd < 0) /* libmicrohttpd still has its socket */
		return 0;
	for (uint32_t i = 0; i < s->queue.n; i++)
		bytes += frame_share(queue_at(&s->queue, i));
	if (s->replay && !s->replay_away)
		bytes += s->replay->counted;
	return bytes + (s->talk ? talk_held(s->talk) : 0);
}

static int by_bytes(const void *a, const void *b)
{
	const struct slow *x = a, *y = b;

	return x->bytes < y->bytes ? 1 : x->bytes > y->bytes ? -1 : 0;
}

/* All for whom something waits, most first; the caller frees. */
static struct slow *find_slow(struct worker *w, size_t *ret_n)
{
	struct slow *all = xcalloc(w->n_streams + 1, sizeof(*all));
	size_t n = 0;

	LIST_EACH (&w->streams, node, tmp) {
		struct stream *s = LIST_ENTRY(node, struct stream, node);
		uint64_t bytes = waits_for(s);

		if (bytes)
			all[n++] = (struct slow){s, bytes};
	}
	xsort(all, n, sizeof(*all), by_bytes);
	*ret_n = n;
	return all;
}

/* Whether there is more than so many eighths of what may be taken. */
static bool is_beyond(const struct worker *w, uint64_t eighths)
{
	const struct budget *b = budget_of(w);
	uint64_t max = atomic_load_explicit(&b->max, memory_order_relaxed);

	return max && budget_used(b) > max / 8 * eighths;
}

void shed_slowest(struct worker *w)
{
	uint64_t now = loop_now_ms(w->loop);
	struct slow *slow;
	size_t n, i;

	if (budget_allows(budget_of(w), 0) || now < w->shed_pause_ms)
		return;
	slow = find_slow(w, &n);
	for (i = 0; i < n && is_beyond(w, 7); i++) {
		budget_note_most(budget_of(w), w->number, slow[i].bytes);
		/* The other one's turn comes within a second: too long for what is far beyond. */
		if (slow[i].bytes < budget_most_elsewhere(budget_of(w), w->number) &&
		    !is_beyond(w, 9))
			break;
		tally_note(&w->commons->tally, TALLY_MEMORY_SLOW, now, stream_peer(slow[i].stream),
			   NULL);
		stream_end(slow[i].stream, END_UNAVAILABLE, REASON);
	}
	budget_note_most(budget_of(w), w->number, i < n ? slow[i].bytes : 0);
	if (!i)
		w->shed_pause_ms = now + PAUSE_MS;
	free(slow);
}

void shed_soon(struct worker *w)
{
	if (!budget_allows(budget_of(w), 0) && !w->flush.place)
		loop_timer_set(w->loop, &w->flush, 0);
}

void shed_tick(struct worker *w)
{
	uint64_t most = 0;

	if (is_beyond(w, 4))
		LIST_EACH (&w->streams, node, tmp) {
			uint64_t bytes = waits_for(LIST_ENTRY(node, struct stream, node));

			most = bytes > most ? bytes : most;
		}
	budget_note_most(budget_of(w), w->number, most);
	shed_slowest(w);
}
