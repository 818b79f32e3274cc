/* SPDX-License-Identifier: PostgreSQL
 * See talk.h. Section numbers are RFC 6455's. */
#include "config.h"
#include "web/talk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/ledger.h"
#include "conf.h"
#include "hub/room.h"
#include "web/action.h"
#include "web/shed.h"
#include "web/stream.h"
#include "web/worker.h"
#include "wire/websocket.h"

#define MESSAGE_MAX	(64 * 1024) /* bytes of one that is taken */
#define BYTES_A_SECOND	(64 * 1024) /* ... read, and a little more */
#define THINGS_A_SECOND 200	    /* messages and control frames */
#define SLOW_S		10	    /* seconds in a row that somebody may have more to say */
#define WORDS_MAX	256	    /* bytes of a control frame */
#define SAID_MAX	16	    /* messages that are being published */

struct talk {
	struct websocket reader;
	char *early; /* to be read before the socket is */
	uint32_t n_early, early_at;
	uint32_t held;		    /* bytes of all that, as counted */
	uint32_t heard_s;	    /* when something last came */
	uint32_t n_bytes, n_things; /* in this second */
	uint32_t slow_s;	    /* for how many it has been more than is read */
	bool readable;		    /* the socket may have more: it is edge-triggered */
	bool we_closed, client_closed;
	bool waits; /* for an answer to what has been said last */
	struct renewal *renewal;
	struct talk_said said;
	struct room *room;
	struct room_part part; /* of it */
};

struct renewal **talk_renewal(struct talk *t)
{
	return &t->renewal;
}

struct talk_said *talk_said(struct talk *t)
{
	return &t->said;
}

void talk_wait(struct talk *t, bool waits)
{
	t->waits = waits;
}

struct talk *talk_new(uint32_t now_s, struct room *room)
{
	struct talk *t = xcalloc(1, sizeof(*t));

	websocket_init(&t->reader, MESSAGE_MAX);
	t->heard_s = now_s;
	t->room = room;
	list_init(&t->said.list);
	ledger_add(BUDGET_TALK);
	return t;
}

void talk_free(struct talk *t)
{
	if (!t)
		return;
	ledger_add(-(int64_t)t->held - BUDGET_TALK);
	room_give(t->room, &t->part);
	websocket_free(&t->reader);
	free(t->early);
	free(t);
}

size_t talk_held(const struct talk *t)
{
	return t->held;
}

/* What it holds of what its client says, as it is now. */
static void count(struct talk *t)
{
	uint32_t held = (uint32_t)t->reader.text.cap + (t->early ? t->n_early : 0);

	ledger_add((int64_t)held - t->held);
	t->held = held;
}

void talk_add_early(struct talk *t, const char *bytes, size_t len)
{
	t->early = xcalloc(len, 1);
	memcpy(t->early, bytes, len);
	t->n_early = (uint32_t)len;
	t->readable = true;
	count(t);
}

void talk_closes(struct talk *t)
{
	t->we_closed = true;
}

bool talk_awaits_close(const struct talk *t)
{
	return t->we_closed && !t->client_closed;
}

bool talk_is_silent(const struct stream *s, uint32_t now_s)
{
	/* Time for two pings; while nothing can be sent, the stall counts alone. */
	uint64_t two = 2 * s->route->keepalive_ms, stall = s->route->stall_ms;

	return s->fd.fd >= 0 && !s->blocked && s->state != STREAM_CLOSING &&
	       now_s > s->talk->heard_s + (two > stall ? two : stall) / 1000;
}

bool talk_rests(struct talk *t)
{
	return websocket_rests(&t->reader) && t->early_at == t->n_early && !t->renewal &&
	       !t->we_closed && !t->waits;
}

uint32_t talk_silent_s(const struct talk *t, uint32_t now_s)
{
	return now_s - t->heard_s;
}

void talk_set_heard(struct talk *t, uint32_t at_s)
{
	t->heard_s = at_s;
}

static void close_with(struct stream *s, unsigned code, const char *words, const char *reason)
{
	autobuf b = {.max = WORDS_MAX};

	websocket_close(&b, code, words);
	stream_part(s, &b, reason);
}

/* Section 5.5.3: with the same application data. */
static void pong(struct stream *s, const struct websocket *w)
{
	autobuf b = {.max = WORDS_MAX};

	websocket_frame(&b, WEBSOCKET_PONG, w->control, w->n_control);
	stream_say(s, &b);
}

/* Section 5.5.1: the close frame is answered, with its code. */
static void answer_close(struct stream *s, const struct websocket *w)
{
	autobuf b = {.max = WORDS_MAX};

	s->talk->client_closed = true;
	if (w->code == WEBSOCKET_NO_CODE)
		websocket_frame(&b, WEBSOCKET_CLOSE, "", 0);
	else
		websocket_close(&b, w->code, "");
	stream_part(s, &b, "client closed");
}

/* To be read again, before anything else. */
static void put_back(struct talk *t, const char *bytes, size_t len)
{
	if (t->early_at >= len && t->early_at <= t->n_early &&
	    !memcmp(t->early + t->early_at - len, bytes, len)) {
		t->early_at -= (uint32_t)len;
		return;
	}
	free(t->early);
	t->early_at = 0;
	talk_add_early(t, bytes, len);
}

static void take(struct stream *s, const char *bytes, size_t len)
{
	struct talk *t = s->talk;
	struct websocket *w = &t->reader;
	const char *at = bytes, *end = bytes + len;

	while (at < end && s->state != STREAM_CLOSING) {
		switch (websocket_read(w, &at, end)) {
		case WEBSOCKET_GOT_NOTHING:
			continue;
		case WEBSOCKET_GOT_TEXT:
			action_take(s, buf_cstr(&w->text), w->text.len);
			break;
		case WEBSOCKET_GOT_PING:
			pong(s, w);
			break;
		case WEBSOCKET_GOT_PONG:
			break;
		case WEBSOCKET_GOT_CLOSE:
			answer_close(s, w);
			break;
		case WEBSOCKET_GOT_ERROR:
			close_with(s, w->code, w->why, w->why);
			break;
		}
		t->n_things++;
		if (t->waits && at < end) {
			put_back(t, at, (size_t)(end - at));
			break;
		}
	}
	(void)websocket_rests(w);
}

static bool may_read(const struct stream *s)
{
	const struct talk *t = s->talk;

	/* Who does not take answers is not asked for more. */
	return t->readable && !t->waits && !s->blocked && t->n_bytes < BYTES_A_SECOND &&
	       t->n_things < THINGS_A_SECOND && t->said.n < SAID_MAX;
}

/* The next bytes; 0 at the end, -1 with errno. Few at a time: what one turn can bring to answer is
 * bounded by it. */
static ssize_t next(struct stream *s, char *out, size_t size)
{
	struct talk *t = s->talk;
	size_t n = t->n_early - t->early_at;

	if (!n)
		return recv(s->fd.fd, out, size, MSG_DONTWAIT);
	n = n < size ? n : size;
	memcpy(out, t->early + t->early_at, n);
	t->early_at += (uint32_t)n;
	if (t->early_at == t->n_early) {
		free(t->early);
		t->early = NULL;
		t->n_early = t->early_at = 0;
	}
	return (ssize_t)n;
}

static void gone(struct stream *s)
{
	stream_close(s, s->state == STREAM_CLOSING ? s->close_reason : "client closed");
}

/* What is half said takes its user's share of the room. */
static void take_room(struct stream *s)
{
	struct talk *t = s->talk;

	if (s->state == STREAM_CLOSING ||
	    room_take_half(t->room, &t->part, s->member.who->user_id, t->held))
		return;
	tally_note(&s->worker->commons->tally, TALLY_BODIES, loop_now_ms(s->worker->loop), NULL,
		   "half a message");
	close_with(s, WEBSOCKET_TRY_AGAIN, "too much is half said; connect again later",
		   "too much of its user's is half said");
}

/* Reads what may be read. False when the stream has gone. */
static bool hear(struct stream *s)
{
	struct talk *t = s->talk;
	char bytes[2048];

	while (may_read(s)) {
		ssize_t n = next(s, bytes, sizeof(bytes));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			t->readable = false;
			return true;
		}
		if (n <= 0) {
			gone(s);
			return false;
		}
		t->heard_s = stream_now_s(s);
		t->n_bytes += (uint32_t)n;
		take(s, bytes, (size_t)n);
		count(t);
		take_room(s);
		shed_soon(s->worker);
	}
	return true;
}

void talk_ready(struct stream *s, uint32_t events)
{
	if (events & (EPOLLHUP | EPOLLERR)) {
		gone(s);
		return;
	}
	if (events & EPOLLOUT && s->blocked) {
		s->blocked = false;
		worker_dirty(s->worker, &s->dirty);
	}
	if (events & (EPOLLIN | EPOLLRDHUP))
		s->talk->readable = true;
	(void)hear(s);
}

void talk_go_on(struct stream *s)
{
	if (s->fd.fd >= 0)
		(void)hear(s);
}

void talk_tick(struct stream *s)
{
	struct talk *t = s->talk;
	bool more = t->readable && !t->waits && !s->blocked && t->said.n < SAID_MAX && !may_read(s);

	if (s->fd.fd < 0)
		return;
	t->slow_s = more ? t->slow_s + 1 : 0;
	t->n_bytes = t->n_things = 0;
	if (t->slow_s > SLOW_S && s->state != STREAM_CLOSING)
		close_with(s, WEBSOCKET_POLICY, "you say too much", "the client says too much");
	(void)hear(s);
}
