/* SPDX-License-Identifier: PostgreSQL
 * How a stream's bytes get out: the hub's events, the daemon's own frames, the queue behind a
 * socket that takes no more. See stream.h. */
#include "config.h"
#include "web/stream.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "conf.h"
#include "web/worker.h"

/* Without SIGPIPE, and without waiting. */
#define SEND_FLAGS (MSG_DONTWAIT | MSG_NOSIGNAL)
#define BREAK_MAX  256 /* bytes of the last words */

/* What this client is sent of a frame, without the first bytes. */
static struct iovec piece(const struct stream *s, struct frame *f, uint32_t skip)
{
	if (s->chunked)
		return (struct iovec){f->bytes + skip, f->len - skip};
	return (struct iovec){f->bytes + f->body_at + skip, f->body_len - skip};
}

static ssize_t send_queued(struct stream *s)
{
	struct iovec iov[STREAM_MAX_IOV];
	uint32_t n = s->queue.n < STREAM_MAX_IOV ? s->queue.n : STREAM_MAX_IOV;
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = n};
	struct joined *joined = &s->worker->joined;

	if (n > 1 && !s->sent_of_first && joined_has(joined, &s->queue, s->chunked))
		return send(s->fd.fd, joined->bytes, joined->len, SEND_FLAGS);
	for (uint32_t i = 0; i < n; i++)
		iov[i] = piece(s, queue_at(&s->queue, i), i ? 0 : s->sent_of_first);
	if (n == 1) /* the kernel copies in less to set up */
		return send(s->fd.fd, iov[0].iov_base, iov[0].iov_len, SEND_FLAGS);
	return sendmsg(s->fd.fd, &msg, SEND_FLAGS);
}

/* After a send() that failed: false when that was the stream's end. */
static bool survives(struct stream *s)
{
	if (errno == EINTR)
		return true;
	if (errno == EAGAIN || errno == ENOBUFS) {
		s->blocked = true;
		s->blocked_s = stream_now_s(s);
		return true;
	}
	stream_close(s, errno == EPIPE || errno == ECONNRESET ? "client closed" : "send failed");
	return false;
}

/* So many bytes of the queue are out. */
static void take_off(struct stream *s, size_t sent)
{
	s->n_bytes += sent;
	while (sent) {
		size_t left = piece(s, queue_at(&s->queue, 0), s->sent_of_first).iov_len;

		if (sent < left) {
			s->sent_of_first += (uint32_t)sent;
			return;
		}
		sent -= left;
		s->sent_of_first = 0;
		queue_pop(&s->queue);
	}
}

/* Sends what is queued until the socket takes no more. False when the stream is gone. */
static bool write_out(struct stream *s)
{
	while (s->queue.n && !s->blocked) {
		ssize_t sent = send_queued(s);

		if (sent >= 0)
			take_off(s, (size_t)sent);
		else if (!survives(s))
			return false;
	}
	return true;
}

/* For a stream with an empty queue: the frame goes out from where it is. */
static void send_at_once(struct stream *s, struct frame *f)
{
	struct iovec v = piece(s, f, 0);
	ssize_t sent = send(s->fd.fd, v.iov_base, v.iov_len, SEND_FLAGS);

	if (sent == (ssize_t)v.iov_len) {
		s->n_bytes += v.iov_len;
		return;
	}
	if (sent < 0 && !survives(s))
		return;
	queue_force(&s->queue, f); /* one frame always fits */
	if (sent > 0)
		take_off(s, (size_t)sent);
	write_out(s); /* edge-triggered: to the very end */
}

void stream_last_words(struct stream *s, enum wire_end end, const char *reason)
{
	autobuf words = {.max = BREAK_MAX};

	if (s->state != STREAM_CLOSING)
		form_break(s->form, &words, end, reason);
	if (words.len) {
		struct frame *f = frame_new(words.data, words.len);
		struct iovec v = piece(s, f, 0);

		(void)!send(s->fd.fd, v.iov_base, v.iov_len, SEND_FLAGS);
		frame_unref(f);
	}
	if (s->chunked)
		(void)!send(s->fd.fd, "0\r\n\r\n", 5, SEND_FLAGS);
}

/* An answer has told all there is, or as much as a queue holds. */
static bool is_answered(const struct stream *s)
{
	return s->n_events && (s->state == STREAM_LIVE || s->n_events >= s->queue.max_frames);
}

void stream_flush(struct stream *s, uint64_t now_ms)
{
	s->flushed_ms = now_ms;
	if (!write_out(s) || s->queue.n)
		return;
	if (s->state == STREAM_CLOSING)
		stream_end(s, END_RESTART, s->close_reason); /* the words are out */
	else if (s->is_answer && is_answered(s))
		stream_answer(s);
	else if (s->state != STREAM_LIVE)
		stream_continue(s);
}

/* The daemon's own few words are nothing to wait for: who has enough to read goes without. */
void stream_offer(struct stream *s, struct frame *f)
{
	if (s->state != STREAM_CLOSING && !s->blocked && queue_push(&s->queue, f))
		worker_dirty(s->worker, &s->dirty);
}

void stream_keep_alive(struct stream *s, struct frame *f)
{
	if (s->is_answer)
		stream_answer(s);
	else
		stream_offer(s, f);
}

void stream_probe(struct stream *s, struct frame *f)
{
	if (s->state == STREAM_LIVE && !s->queue.n) /* others are being written to */
		stream_offer(s, f);
}

/* Whether what it hears now may go out now, while it is in the processor's caches, instead of in a
 * second walk over all streams: when this turn brings no more and its flush interval is over. Not
 * an answer, which ends with it: where to go on is known when all of the letter has been told. */
static bool is_due(const struct stream *s)
{
	const struct worker *w = s->worker;

	return w->last_event && s->state == STREAM_LIVE && !s->blocked && !s->is_answer &&
	       loop_now_ms(w->loop) >= s->flushed_ms + w->conf->flush_ms;
}

/* The event at hand, whose frame has no room: from here on it reads the ring, at its own pace. */
static void too_slow(struct stream *s)
{
	s->n_events--;
	stream_fall_behind(s, s->worker->hub.ring.head - 1);
}

static void hand_out(struct stream *s, struct frame *f)
{
	s->n_events++;
	if (is_due(s) && !s->queue.n) {
		s->flushed_ms = loop_now_ms(s->worker->loop);
		send_at_once(s, f);
		return;
	}
	if (!queue_push(&s->queue, f)) {
		if (!write_out(s))
			return;
		if (!queue_push(&s->queue, f)) {
			too_slow(s);
			return;
		}
	}
	if (is_due(s)) {
		list_remove(&s->dirty);
		stream_flush(s, loop_now_ms(s->worker->loop));
	} else if (!s->blocked) {
		worker_dirty(s->worker, &s->dirty);
	}
}

void stream_deliver(struct hub_member *m, struct event *e, enum scope_view view)
{
	struct stream *s = (struct stream *)m;
	struct frame *f;

	if (s->filter && !stream_wants(s, e))
		return;
	if (!s->skip) { /* the event's own frame, which lives as long as the event */
		hand_out(s, event_frame(e, s->form, view));
		return;
	}
	if (stream_had(s, e))
		return;
	f = stream_frame_for(s, e, view);
	hand_out(s, f);
	frame_unref(f);
}
