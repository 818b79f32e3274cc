/* SPDX-License-Identifier: PostgreSQL
 * See stream.h. */
#include "config.h"
#include "web/stream.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "web/http.h"
#include "web/worker.h"
#include "wire/dialect.h"
#include "wire/sse.h"

#define MAX_IOV	  64   /* frames per writev */
#define MAX_SCAN  2000 /* ring entries looked at per turn and stream */
#define HELLO_MAX 1024 /* bytes */

static void on_ready(void *arg, uint32_t events);

static void log_stream(const struct stream *s, const char *what, const char *reason)
{
	char id[24], seconds[32], events[24], bytes[24];
	const struct log_field fields[] = {
		{"stream", id},
		{"user", s->member.who->user_id},
		{"role", s->member.who->role},
		{"route", s->route->name},
		{"peer", s->peer},
		{"reason", reason},
		{"seconds", reason ? seconds : NULL},
		{"events", reason ? events : NULL},
		{"bytes", reason ? bytes : NULL},
		{NULL, NULL},
	};
	uint64_t ms = loop_now_ms(s->worker->loop) - s->opened_ms;

	if (!log_enabled(LOG_L_INFO))
		return;
	snprintf(id, sizeof(id), "%u.%" PRIu64, s->worker->number, s->id);
	snprintf(seconds, sizeof(seconds), "%" PRIu64 ".%03" PRIu64, ms / 1000, ms % 1000);
	snprintf(events, sizeof(events), "%" PRIu64, s->n_events);
	snprintf(bytes, sizeof(bytes), "%" PRIu64, s->n_bytes);
	log_with(LOG_L_INFO, what, fields);
}

/* The first bytes: what EventSource needs to come back without loss, and the greeting. The id is
 * the position that everything after it follows: the client's own when it resumes. */
static void make_hello(struct stream *s, const char *id)
{
	struct buf message, b;

	buf_init(&message, HELLO_MAX);
	buf_init(&b, HELLO_MAX);
	dialect_django.hello(&message);
	sse_retry(&b, s->route->retry_ms);
	sse_id(&b, id);
	sse_data(&b, buf_cstr(&message), message.len);
	sse_end(&b);
	assert(buf_ok(&b) && buf_ok(&message));
	buf_free(&message);
	s->hello_len = b.len;
	s->hello = buf_steal(&b);
}

/* "Refetch everything": the client's position is of no use any more. Only for this stream. */
static void queue_reset(struct stream *s, const char *reason, const char *id)
{
	struct event *e = event_resync(reason, s->worker->topics, id, (int64_t)time(NULL));

	queue_force(&s->queue, event_frame(e, FORM_SSE_DJANGO, VIEW_WHOLE));
	event_unref(e);
	s->n_events++;
}

static void start_fresh(struct stream *s)
{
	s->state = STREAM_STARTING;
	s->ring_seq = s->worker->hub.ring.head;
	s->loss = s->worker->position_cursor.loss;
	make_hello(s, s->worker->position.text);
}

/* Where a client that was here before goes on; decides only, nothing is sent before adoption. */
static void start_resumed(struct stream *s, const char *last_id)
{
	struct worker *w = s->worker;
	struct cursor c;
	const char *reset = NULL;

	if (!cursor_parse(&c, last_id, strlen(last_id)))
		reset = "cursor";
	else if (strcmp(c.epoch, w->position_cursor.epoch) != 0)
		reset = "epoch";
	if (reset) {
		start_fresh(s);
		queue_reset(s, reset, w->position.text);
		return;
	}
	s->skip = xcalloc(1, sizeof(*s->skip));
	*s->skip = c;
	s->ring_seq = w->hub.ring.tail;
	make_hello(s, last_id);
	s->loss = w->position_cursor.loss;
	if (c.loss != s->loss) /* something was not recorded meanwhile */
		queue_reset(s, "loss", NULL);
}

/* When the token is to be looked up again: in good time, or when it ends. */
static void set_recheck(struct stream *s)
{
	uint64_t ms = s->worker->conf->recheck_ms, ends = s->member.who->expires_ms;

	s->recheck_at_ms = loop_now_ms(s->worker->loop) + (ends && ends < ms ? ends : ms);
}

struct stream *stream_new(struct worker *w, struct conf *conf, const struct conf_route *route,
			  struct principal *who, const char *token, const char *last_id,
			  const char *peer, bool chunked)
{
	struct stream *s = xcalloc(1, sizeof(*s));

	s->worker = w;
	s->conf = conf_ref(conf); /* a reload may have come since the request began */
	s->route = route;
	s->member.who = who;
	s->member.role = (uint32_t)hub_role(&w->hub, who->role);
	s->fd.fd = -1;
	s->id = ++w->next_stream_id;
	s->token = xstrdup(token);
	snprintf(s->peer, sizeof(s->peer), "%s", peer);
	s->chunked = chunked;
	s->opened_ms = loop_now_ms(w->loop);
	set_recheck(s);
	queue_init(&s->queue, route->queue_events, route->queue_bytes);
	list_init(&s->dirty);
	list_init(&s->wheel);
	list_push(&w->streams, &s->node);
	w->n_streams++;
	if (last_id && *last_id)
		start_resumed(s, last_id);
	else
		start_fresh(s);
	log_stream(s, last_id && *last_id ? "SSE stream resumed" : "SSE stream opened", NULL);
	return s;
}

/* Throws the letter away; its events up to replay_next have gone already. */
static void drop_replay(struct stream *s)
{
	struct post_replay *p = s->replay;

	for (size_t i = 0; i < s->replay_next; i++)
		p->events[i] = NULL;
	post_replay_free(p);
	s->replay = NULL;
}

void stream_close(struct stream *s, const char *reason)
{
	struct worker *w = s->worker;

	log_stream(s, "SSE stream closed", reason);
	hub_leave(&w->hub, &s->member);
	if (s->fd.fd >= 0) {
		loop_del(w->loop, &s->fd);
		close(s->fd.fd);
	}
	if (s->replay) {
		s->replay->asker = NULL;
		if (!s->replay_away)
			drop_replay(s);
	}
	if (s->lookup)
		s->lookup->asker = NULL;
	list_remove(&s->node);
	list_remove(&s->dirty);
	list_remove(&s->wheel);
	registry_leave(w->registry, s->member.who->user_id);
	w->n_streams--;
	queue_free(&s->queue);
	explicit_bzero(s->token, strlen(s->token));
	free(s->token);
	free(s->hello);
	free(s->skip);
	principal_free(s->member.who);
	conf_unref(s->conf);
	free(s);
	worker_check_drained(w);
}

void stream_end(struct stream *s, const char *reason)
{
	if (s->state == STREAM_STARTING)
		s->close_reason = reason;
	else
		stream_close(s, reason);
}

/* Sends what is queued until the socket takes no more. False when the stream is gone. */
static bool write_out(struct stream *s)
{
	while (s->queue.n && !s->blocked) {
		struct iovec iov[MAX_IOV];
		struct msghdr msg = {.msg_iov = iov};
		ssize_t sent;

		for (uint32_t i = 0; i < s->queue.n && i < MAX_IOV; i++) {
			struct frame *f = queue_at(&s->queue, i);
			uint32_t skip = i ? 0 : s->sent_of_first;

			iov[i].iov_base = f->bytes + (s->chunked ? 0 : f->body_at) + skip;
			iov[i].iov_len = (s->chunked ? f->len : f->body_len) - skip;
			msg.msg_iovlen++;
		}
		if (msg.msg_iovlen == 1) /* the kernel copies in less to set up */
			sent = send(s->fd.fd, iov[0].iov_base, iov[0].iov_len,
				    MSG_DONTWAIT | MSG_NOSIGNAL);
		else
			sent = sendmsg(s->fd.fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0 && (errno == EAGAIN || errno == ENOBUFS)) {
			s->blocked = true;
			break;
		}
		if (sent < 0) {
			stream_close(s, errno == EPIPE || errno == ECONNRESET ? "client closed"
									      : "send failed");
			return false;
		}
		s->n_bytes += (uint64_t)sent;
		for (size_t i = 0; sent > 0; i++) {
			size_t left = iov[i].iov_len;

			if ((size_t)sent < left) {
				s->sent_of_first += (uint32_t)sent;
				break;
			}
			sent -= (ssize_t)left;
			s->sent_of_first = 0;
			queue_pop(&s->queue);
		}
	}
	return true;
}

static void finish_closing(struct stream *s)
{
	/* The last chunk, so that the client sees an end and not a broken connection. */
	if (s->chunked)
		(void)!send(s->fd.fd, "0\r\n\r\n", 5, MSG_DONTWAIT | MSG_NOSIGNAL);
	stream_close(s, s->close_reason);
}

void stream_flush(struct stream *s, uint64_t now_ms)
{
	s->flushed_ms = now_ms;
	if (!write_out(s))
		return;
	if (s->state == STREAM_CLOSING && !s->queue.n)
		finish_closing(s);
	else if (!s->queue.n && s->state != STREAM_LIVE)
		stream_continue(s);
}

void stream_offer(struct stream *s, struct frame *f)
{
	if (s->state == STREAM_CLOSING)
		return;
	if (!queue_push(&s->queue, f)) {
		if (s->fd.fd >= 0 && !write_out(s))
			return;
		if (!queue_push(&s->queue, f)) {
			stream_close(s, "overflow: the client reads too slowly");
			return;
		}
	}
	if (s->fd.fd >= 0 && !s->blocked)
		worker_dirty(s->worker, &s->dirty);
}

/* Whether the client had this event before it came here. */
static bool had_before(const struct stream *s, const struct event *e)
{
	/* A resync that stands in no journal row is in nobody's position. */
	return s->skip && e->txid && cursor_has(s->skip, e->txid, e->id);
}

/* The frame of an event for this client; the caller owns the reference. The event's own id says
 * what this daemon has delivered up to here. As long as the client had more than that from
 * elsewhere, its id must say both, or it would be told the difference again after its next
 * reconnect. Once the event's id covers what the client had, the two histories have met. */
static struct frame *frame_for(struct stream *s, struct event *e, enum scope_view view)
{
	struct cursor_text text;
	struct cursor c, both;

	if (!s->skip || !e->cursor || !cursor_parse(&c, e->cursor, strlen(e->cursor)))
		return frame_ref(event_frame(e, FORM_SSE_DJANGO, view));
	if (cursor_covers(&c, s->skip)) {
		free(s->skip);
		s->skip = NULL;
		return frame_ref(event_frame(e, FORM_SSE_DJANGO, view));
	}
	cursor_union(&both, s->skip, &c);
	both.loss = c.loss;
	cursor_format(&both, &text);
	return event_frame_with(e, FORM_SSE_DJANGO, view, text.text);
}

void stream_deliver(struct hub_member *m, struct event *e, enum scope_view view)
{
	struct stream *s = (struct stream *)m;
	struct frame *f;

	if (had_before(s, e))
		return;
	s->n_events++;
	f = frame_for(s, e, view);
	stream_offer(s, f);
	frame_unref(f);
}

static const struct scope_policy *policy_of(const struct stream *s)
{
	return &s->worker->hub.policies[s->member.role];
}

/* Queues an event of the past when this principal may see it, by today's rights. `own` is the id to
 * send, NULL for what frame_for() says. */
static void queue_past(struct stream *s, struct event *e, const char *own)
{
	enum scope_view view = event_view(e, policy_of(s), s->member.who);
	struct frame *f;

	if (view == VIEW_NOTHING)
		return;
	f = own ? event_frame_with(e, FORM_SSE_DJANGO, view, own) : frame_for(s, e, view);
	queue_force(&s->queue, f);
	frame_unref(f);
	s->n_events++;
}

/* Whether more of the past may be queued: one writev's worth, and no more bytes than the route
 * allows. */
static bool has_room(const struct stream *s)
{
	return s->queue.n < MAX_IOV && s->queue.bytes < s->queue.max_bytes;
}

static void go_live(struct stream *s)
{
	uint64_t loss = s->worker->position_cursor.loss;

	if (s->loss != loss) /* something was not recorded before this */
		queue_reset(s, "loss", NULL);
	s->loss = loss;
	s->state = STREAM_LIVE;
	hub_join(&s->worker->hub, &s->member);
}

/* The rest of a transaction of which the client has the beginning goes first: an id can tell of
 * one such transaction only. */
static void finish_half(struct stream *s)
{
	struct ring *ring = &s->worker->hub.ring;
	struct cursor *skip = s->skip;
	bool found = false;

	if (!skip || !skip->txid)
		return;
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
		queue_past(s, e, text.text);
		if (!skip->txid)
			return;
	}
	if (found) /* it had been told to the end already */
		cursor_complete(skip);
}

static void read_ring(struct stream *s)
{
	struct ring *ring = &s->worker->hub.ring;

	if (s->ring_seq < ring->tail) {
		stream_close(s, "overflow: the client reads too slowly to catch up");
		return;
	}
	for (size_t i = 0; i < MAX_SCAN && has_room(s); i++) {
		struct event *e = ring_at(ring, s->ring_seq);

		if (!e) {
			go_live(s);
			break;
		}
		s->ring_seq++;
		if (!had_before(s, e))
			queue_past(s, e, NULL);
	}
	if (s->state != STREAM_LIVE || s->queue.n)
		worker_dirty(s->worker, &s->dirty);
}

static void ask_journal(struct stream *s)
{
	struct post_replay *p = s->replay;

	if (!p) {
		p = s->replay = xcalloc(1, sizeof(*p));
		p->letter.kind = POST_REPLAY;
		p->reply_to = &s->worker->inbox;
		p->asker = s;
		p->from = *s->skip;
	}
	if (!p->plan) /* what the ring holds from here on may come after that answer */
		s->ring_seq = s->worker->hub.ring.head;
	s->replay_away = true;
	inbox_post(s->worker->db, &p->letter);
}

/* The ring serves who was away shortly; the journal everybody else, and whoever is ahead of this
 * daemon, so that the database can say whether that position exists. */
static bool ring_serves(struct stream *s)
{
	const struct ring *ring = &s->worker->hub.ring;

	if (!s->skip)
		return s->ring_seq >= ring->tail;
	s->ring_seq = ring->tail;
	return ring_covers(ring, s->skip) && s->skip->xmax <= s->worker->position_cursor.xmax;
}

/* The position that the hello told the client, for a stream that lost its place in the ring
 * before it began. */
static struct cursor *position_of_hello(const struct stream *s)
{
	struct cursor *c = xcalloc(1, sizeof(*c));
	const char *id = strstr(s->hello, "\nid: ");
	bool ok = id && cursor_parse(c, id + 5, strcspn(id + 5, "\n"));

	assert(ok); /* make_hello() wrote it */
	(void)ok;
	return c;
}

static void read_journal(struct stream *s)
{
	struct post_replay *p = s->replay;

	if (s->replay_away)
		return;
	for (; s->replay_next < p->n && has_room(s); s->replay_next++) {
		queue_past(s, p->events[s->replay_next], p->events[s->replay_next]->cursor);
		event_unref(p->events[s->replay_next]);
	}
	if (s->queue.n)
		worker_dirty(s->worker, &s->dirty);
	if (s->replay_next < p->n)
		return;
	free(p->events);
	p->events = NULL;
	p->n = s->replay_next = 0;
	if (p->verdict == REPLAY_MORE) {
		ask_journal(s);
		return;
	}
	/* REPLAY_DONE: all up to p->from; the ring has the rest, unless this took too long. */
	*s->skip = p->from;
	if (s->ring_seq < s->worker->hub.ring.tail) {
		ask_journal(s);
		return;
	}
	free(p); /* its plan is gone with the last page */
	s->replay = NULL;
	s->state = STREAM_CATCHING;
	worker_dirty(s->worker, &s->dirty);
}

void stream_continue(struct stream *s)
{
	if (s->state == STREAM_CATCHING)
		read_ring(s);
	else if (s->state == STREAM_REPLAYING)
		read_journal(s);
}

void stream_replayed(struct stream *s)
{
	struct post_replay *p = s->replay;

	s->replay_away = false;
	s->replay_next = 0;
	if (s->state == STREAM_CLOSING) { /* it only sends its rest now */
		drop_replay(s);
		return;
	}
	if (p->verdict == REPLAY_UNAVAILABLE) {
		stream_close(s, "replay failed: the database is away");
		return;
	}
	if (p->verdict == REPLAY_RESET) {
		const char *reason = p->reason;

		drop_replay(s);
		free(s->skip);
		s->skip = NULL;
		s->ring_seq = s->worker->hub.ring.head;
		s->state = STREAM_CATCHING;
		queue_reset(s, reason, s->worker->position.text);
		worker_dirty(s->worker, &s->dirty);
		return;
	}
	stream_continue(s);
}

void stream_restart(struct stream *s)
{
	free(s->skip);
	s->skip = NULL;
	s->loss = s->worker->position_cursor.loss;
	if (s->state != STREAM_LIVE) /* it comes back, and its id tells what it needs */
		stream_end(s, "the journal began anew before the stream caught up");
}

void stream_adopt(struct stream *s, int fd)
{
	bool from_ring = ring_serves(s);

	if (!from_ring && !s->skip)
		s->skip = position_of_hello(s);
	free(s->hello);
	s->hello = NULL;
	s->n_bytes += s->hello_len;
	if (s->close_reason) {
		close(fd);
		stream_close(s, s->close_reason);
		return;
	}
	s->fd = (struct loop_fd){.fd = fd, .ready = on_ready, .arg = s};
	/* Edge-triggered for both directions: no system call when a stream stalls or recovers. */
	if (!loop_add(s->worker->loop, &s->fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)) {
		close(fd);
		s->fd.fd = -1;
		stream_close(s, "no room in epoll");
		return;
	}
	if (s->worker->draining) {
		stream_farewell(s, "shutdown");
		return;
	}
	s->state = from_ring ? STREAM_CATCHING : STREAM_REPLAYING;
	if (from_ring) {
		finish_half(s);
		read_ring(s); /* at once: it may already hold the last events only */
	} else
		ask_journal(s);
}

void stream_farewell(struct stream *s, const char *reason)
{
	char text[48];
	uint32_t r = 0;
	struct frame *f;
	int n;

	if (s->fd.fd < 0 || s->state == STREAM_CLOSING)
		return;
	if (getrandom(&r, sizeof(r), GRND_NONBLOCK) != sizeof(r))
		r = (uint32_t)s->id * 2654435761U;
	/* Between one and three times the usual: the next daemon gets them spread out. */
	n = snprintf(text, sizeof(text), "retry: %" PRIu64 "\n\n",
		     s->route->retry_ms + r % (2 * s->route->retry_ms + 1));
	f = frame_new(text, (size_t)n);
	queue_force(&s->queue, f);
	frame_unref(f);
	hub_leave(&s->worker->hub, &s->member);
	s->state = STREAM_CLOSING;
	s->close_reason = reason;
	worker_dirty(s->worker, &s->dirty);
}

static void on_ready(void *arg, uint32_t events)
{
	struct stream *s = arg;

	if (events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP)) {
		stream_close(s, "client closed");
		return;
	}
	if (events & EPOLLIN) { /* nothing a client says after its request matters */
		char scrap[1024];
		ssize_t n;

		for (size_t total = 0;
		     (n = recv(s->fd.fd, scrap, sizeof(scrap), MSG_DONTWAIT)) > 0;)
			if ((total += (size_t)n) > 65536) {
				stream_close(s, "the client talks on an event stream");
				return;
			}
		if (!n) {
			stream_close(s, "client closed");
			return;
		}
	}
	if (events & EPOLLOUT && s->blocked) {
		s->blocked = false;
		stream_flush(s, loop_now_ms(s->worker->loop));
	}
}

static void rechecked(struct post_lookup *l)
{
	struct stream *s = l->asker;
	enum lookup_verdict verdict = l->verdict;
	struct principal *who = l->who;

	l->who = NULL;
	post_lookup_free(l);
	if (!s) {
		principal_free(who);
		return;
	}
	s->lookup = NULL;
	if (s->recheck_again)
		stream_recheck(s);
	if (verdict == LOOKUP_UNAVAILABLE)
		return; /* the rights it had stay until somebody can be asked */
	if (verdict != LOOKUP_OK || strcmp(who->user_id, s->member.who->user_id) != 0) {
		principal_free(who);
		stream_end(s, verdict == LOOKUP_INACTIVE ? "user is not active any more"
							 : "token is not valid any more");
		return;
	}
	s->member.who->expires_ms = who->expires_ms;
	set_recheck(s);
	if (!strcmp(who->role, s->member.who->role)) {
		principal_free(who);
		return;
	}
	hub_leave(&s->worker->hub, &s->member);
	principal_free(s->member.who);
	s->member.who = who;
	log_stream(s, "SSE stream has another role", NULL);
	stream_rescope(s);
}

void stream_rescope(struct stream *s)
{
	struct worker *w = s->worker;
	int role = hub_role(&w->hub, s->member.who->role);
	bool joined = s->state == STREAM_LIVE;

	hub_leave(&w->hub, &s->member);
	if (role < 0 || !http_role_allowed(w, s->route, s->member.who->role)) {
		s->member.role = 0; /* unused: it hears nothing any more */
		stream_end(s, "role may not use this route any more");
		return;
	}
	s->member.role = (uint32_t)role;
	if (joined)
		hub_join(&w->hub, &s->member);
}

void stream_tick(struct stream *s, uint64_t now_ms)
{
	if (s->skip && s->state == STREAM_LIVE &&
	    cursor_covers(&s->worker->position_cursor, s->skip)) {
		free(s->skip);
		s->skip = NULL;
	}
	if (now_ms >= s->recheck_at_ms && !s->lookup)
		stream_recheck(s);
}

void stream_recheck(struct stream *s)
{
	struct worker *w = s->worker;
	struct post_lookup *l;

	if (s->lookup) { /* its answer may be of before the change */
		s->recheck_again = true;
		return;
	}
	s->recheck_again = false;
	s->recheck_at_ms = loop_now_ms(w->loop) + w->conf->recheck_ms;
	l = s->lookup = xcalloc(1, sizeof(*l));
	l->letter.kind = POST_LOOKUP;
	l->reply_to = &w->inbox;
	l->auth = xstrdup(s->route->auth);
	l->token = xstrdup(s->token);
	l->asker = s;
	l->answered = rechecked;
	inbox_post(w->db, &l->letter);
}
