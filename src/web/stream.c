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

#define HELLO_MAX 1024 /* bytes */

static void on_ready(void *arg, uint32_t events);

void stream_log(const struct stream *s, const char *what, const char *reason)
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
		stream_queue_reset(s, reset, w->position.text);
		return;
	}
	s->skip = xcalloc(1, sizeof(*s->skip));
	*s->skip = c;
	s->ring_seq = w->hub.ring.tail;
	make_hello(s, last_id);
	s->loss = w->position_cursor.loss;
	if (c.loss != s->loss) /* something was not recorded meanwhile */
		stream_queue_reset(s, "loss", NULL);
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
	stream_set_recheck(s);
	queue_init(&s->queue, route->queue_events, route->queue_bytes);
	list_init(&s->dirty);
	list_init(&s->wheel);
	list_push(&w->streams, &s->node);
	w->n_streams++;
	if (last_id && *last_id)
		start_resumed(s, last_id);
	else
		start_fresh(s);
	stream_log(s, last_id && *last_id ? "SSE stream resumed" : "SSE stream opened", NULL);
	return s;
}

void stream_close(struct stream *s, const char *reason)
{
	struct worker *w = s->worker;

	stream_log(s, "SSE stream closed", reason);
	hub_leave(&w->hub, &s->member);
	if (s->fd.fd >= 0) {
		loop_del(w->loop, &s->fd);
		close(s->fd.fd);
	}
	if (s->replay) {
		s->replay->asker = NULL;
		if (!s->replay_away)
			stream_drop_replay(s);
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
		struct iovec iov[STREAM_MAX_IOV];
		struct msghdr msg = {.msg_iov = iov};
		ssize_t sent;

		for (uint32_t i = 0; i < s->queue.n && i < STREAM_MAX_IOV; i++) {
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

void stream_deliver(struct hub_member *m, struct event *e, enum scope_view view)
{
	struct stream *s = (struct stream *)m;
	struct frame *f;

	if (stream_had(s, e))
		return;
	s->n_events++;
	f = stream_frame_for(s, e, view);
	stream_offer(s, f);
	frame_unref(f);
}

void stream_adopt(struct stream *s, int fd)
{
	bool from_ring = stream_finds_past(s);

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
	stream_begin_past(s, from_ring);
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
