/* SPDX-License-Identifier: PostgreSQL
 * A stream that goes to the next process, and one that has come from the one before: the same
 * connection, the same position. See stream.h. */
#include "config.h"
#include "web/stream.h"

#include "conf.h"
#include "hub/filter.h"
#include "hub/subscription.h"
#include "web/departure.h"
#include "web/worker.h"

/* Only who owes his client nothing: the last byte that is out ends an event. He is as far as this
 * worker, or reads the journal and is as far as `skip`; what he has asked for, rights included, the
 * next process asks for again, but for channels that his role names. And only one of the transport
 * in which that says its farewell to those that it cannot take. */
static bool can_leave(const struct stream *s)
{
	return form_transport(s->form) == TRANSPORT_SSE && !s->route->by_role &&
	       ((s->state == STREAM_REPLAYING && !s->replay->kept) ||
		(s->state == STREAM_LIVE && !stream_is_held(s))) &&
	       s->fd.fd >= 0 && !s->queue.n && !s->sent_of_first && !s->blocked;
}

static char *joined(char *const *items, size_t n)
{
	struct buf b;

	buf_init(&b, (size_t)FILTER_ITEMS_MAX * (FILTER_ITEM_MAX + 1));
	for (size_t i = 0; i < n; i++)
		buf_printf(&b, "%s%s", i ? "," : "", items[i]);
	return buf_steal(&b);
}

bool stream_leave(struct stream *s, struct departure *d)
{
	const struct filter *f = s->filter;
	autofree char *types = joined(f ? f->types : NULL, f ? f->n_types : 0);
	autofree char *topics = joined(f ? f->topics : NULL, f ? f->n_topics : 0);
	autofree char *channels = subscription_text(s->member.who->channels);
	struct cursor_text at;
	struct luggage l;

	if (!can_leave(s))
		return false;
	stream_position(s, &at);
	l = (struct luggage){
		.token = s->token,
		.user = s->member.who->user_id,
		.route = s->route->name,
		.door = s->route->auth.items[s->door],
		.position = at.text,
		.peer = stream_peer(s),
		.types = types,
		.topics = topics,
		.channels = channels,
		.opened_ms = s->opened_ms,
		.n_events = s->n_events,
		.n_bytes = s->n_bytes,
		.form = s->form,
		.who_am_i = s->who_am_i,
	};
	if (!departure_take(d, s->fd.fd, s->chunked, &l))
		return false;
	loop_del(s->worker->loop, &s->fd);
	s->fd.fd = -1; /* it is not ours any more */
	stream_close(s, "handed over to the next process");
	return true;
}

void stream_arrive(struct stream *s, int fd, const struct luggage *l)
{
	s->hello_len = 0; /* the greeting came from the process before */
	s->opened_ms = l->opened_ms;
	s->n_events += l->n_events;
	s->n_bytes = l->n_bytes;
	/* What the application itself sent meanwhile stands in no journal. */
	if (s->worker->live_topics)
		stream_queue_gap(s);
	stream_adopt(s, fd);
}
