/* SPDX-License-Identifier: PostgreSQL
 * A stream that goes to the next process, and one that has come from the one before: the same
 * connection, the same position. See stream.h. */
#include "config.h"
#include "web/stream.h"

#include "conf.h"
#include "hub/filter.h"
#include "hub/subscription.h"
#include "web/departure.h"
#include "web/talk.h"
#include "web/worker.h"

/* Only who owes his client nothing: the last byte that is out ends a message. He is as far as this
 * worker, or reads the journal and is as far as `skip`; what he has asked for, rights included, the
 * next process asks for again. Of a client that talks no message may have begun. An answer waits
 * for its first event, at a position that it has in common with others: its farewell tells it. */
static bool can_leave(const struct stream *s)
{
	bool live = s->state == STREAM_LIVE && !stream_is_held(s);

	if (s->fd.fd < 0 || s->joined || s->queue.n || s->sent_of_first || s->blocked)
		return false;
	if (s->is_answer)
		return live && !s->skip && !s->n_events;
	return (live || (s->state == STREAM_REPLAYING && !s->replay->kept)) &&
	       (!s->talk || (talk_rests(s->talk) && !talk_said(s->talk)->n));
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
	autofree char *granted = subscription_grants_text(s->member.who->granted);
	char from[ADDRESS_TEXT_MAX] = "";
	struct address address = stream_from(s);
	struct cursor_text at;
	struct bag_end end = {s->form, s->chunked, s->route->retry_ms, NULL};
	struct luggage l;

	stream_forget_past(s);
	if (!can_leave(s))
		return false;
	stream_position(s, &at);
	if (s->is_answer)
		end.position = at.text;
	if (!address_is_none(&address))
		address_text(&address, from);
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
		.role = s->route->by_role ? s->member.who->role : "",
		.granted = granted,
		.from = from,
		.opened_ms = s->opened_ms,
		.keepalive_s = s->keepalive_s,
		.silent_s = s->talk ? talk_silent_s(s->talk, stream_now_s(s)) : 0,
		.n_events = s->n_events,
		.n_bytes = s->n_bytes,
		.form = s->form,
		.who_am_i = s->who_am_i,
		.no_types = f && f->no_types,
		.no_topics = f && f->no_topics,
	};
	if (!departure_take(d, s->fd.fd, &end, &l))
		return false;
	loop_del(s->worker->loop, &s->fd);
	s->fd.fd = -1; /* it is not ours any more */
	stream_close(s, "handed over to the next process");
	return true;
}

/* When it was due: nobody in between hears less of us than before. */
static uint32_t keepalive_of(const struct stream *s, const struct luggage *l)
{
	uint64_t now = stream_now_s(s), period = s->route->keepalive_ms / 1000;

	if (!l->keepalive_s) /* it had none yet */
		return 0;
	if (l->keepalive_s <= now)
		return (uint32_t)(now + 1);
	return (uint32_t)(l->keepalive_s - now < period ? l->keepalive_s : now + period);
}

void stream_arrive(struct stream *s, int fd, const struct luggage *l)
{
	uint32_t now = stream_now_s(s);

	s->hello_len = 0; /* the greeting came from the process before */
	s->opened_ms = l->opened_ms;
	s->keepalive_s = keepalive_of(s, l);
	s->n_events += l->n_events;
	s->n_bytes = l->n_bytes;
	/* Nobody has listened meanwhile: that time does not count. */
	if (s->talk)
		talk_set_heard(s->talk, l->silent_s < now ? now - (uint32_t)l->silent_s : 0);
	/* What the application itself sent meanwhile stands in no journal. */
	if (s->worker->live_topics)
		stream_queue_gap(s);
	stream_adopt(s, fd);
}
