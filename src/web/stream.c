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
#include <time.h>
#include <unistd.h>

#include "auth/api_key.h"
#include "base/ledger.h"
#include "base/log.h"
#include "base/mem.h"
#include "hub/filter.h"
#include "web/caller.h"
#include "web/parting.h"
#include "web/talk.h"
#include "web/action.h"
#include "web/worker.h"

#define HELLO_MAX    2560 /* bytes */
#define USER_MAX     255  /* bytes, up to six for each in JSON; a longer one is not told */
#define FAREWELL_MAX 256  /* bytes */
#define WORDS_MAX    64	  /* of the log */

static void on_ready(void *arg, uint32_t events);

const char *stream_peer(const struct stream *s)
{
	return s->token + strlen(s->token) + 1;
}

struct address stream_address(const struct stream *s)
{
	return caller_peer_address(stream_peer(s));
}

struct address stream_from(const struct stream *s)
{
	struct address a = stream_address(s);

	return address_block(&a);
}

void stream_set_token(struct stream *s, const char *token)
{
	char *all = xasprintf("%s%c%s", token, '\0', stream_peer(s));

	explicit_bzero(s->token, strlen(s->token));
	free(s->token);
	s->token = all;
}

/* What the log calls its API key; NULL for other credentials. */
static const char *key_of(const struct stream *s)
{
	const struct conf_auth *a = conf_find_auth(s->conf, s->route->auth.items[s->door]);
	const struct api_key *k = a && a->api_keys ? api_keys_find(a->api_keys, s->token) : NULL;

	return k ? k->prefix : NULL;
}

const char *stream_name(const struct stream *s, char out[STREAM_NAME_MAX])
{
	snprintf(out, STREAM_NAME_MAX, "%u.%" PRIu64, s->worker->number, s->id);
	return out;
}

void stream_log(const struct stream *s, const char *what, const char *reason)
{
	char id[STREAM_NAME_MAX], seconds[32], events[24], bytes[24];
	const struct log_field fields[] = {
		{"stream", id},
		{"user", s->member.who->user_id},
		{"role", s->member.who->role},
		{"key", key_of(s)},
		{"route", s->route->name},
		{"peer", stream_peer(s)},
		{"reason", reason},
		{"seconds", reason ? seconds : NULL},
		{"events", reason ? events : NULL},
		{"bytes", reason ? bytes : NULL},
		{NULL, NULL},
	};
	uint64_t ms = loop_now_ms(s->worker->loop) - s->opened_ms;
	char words[WORDS_MAX];

	if (!log_enabled(LOG_L_INFO))
		return;
	stream_name(s, id);
	if (reason) {
		snprintf(seconds, sizeof(seconds), "%" PRIu64 ".%03" PRIu64, ms / 1000, ms % 1000);
		snprintf(events, sizeof(events), "%" PRIu64, s->n_events);
		snprintf(bytes, sizeof(bytes), "%" PRIu64, s->n_bytes);
	}
	snprintf(words, sizeof(words), "%s %s", transport_title(form_transport(s->form)), what);
	log_with(LOG_L_INFO, words, fields);
}

/* The first bytes: what a client needs to come back without loss, and the greeting. The id is
 * the position that everything after it follows: the client's own when it resumes. */
static void make_hello(struct stream *s, const char *id)
{
	const char *user = s->member.who->user_id;
	char name[STREAM_NAME_MAX] = "";
	const struct news n = {
		.user = s->who_am_i && strlen(user) <= USER_MAX ? user : NULL,
		.server = s->worker->commons->server,
		.stream = s->who_am_i ? stream_name(s, name) : NULL,
		.full = s->who_am_i,
		.keepalive_s = s->route->keepalive_ms / 1000,
		.resumed = s->skip != NULL,
		.at = (int64_t)time(NULL),
	};
	struct buf b;

	buf_init(&b, HELLO_MAX);
	form_hello(s->form, &b, &n, s->route->retry_ms, id);
	s->hello_len = (uint32_t)b.len;
	buf_char(&b, '\0');
	buf_str(&b, id);
	assert(buf_ok(&b));
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
	make_hello(s, last_id);
	s->loss = w->position_cursor.loss;
	if (c.loss != s->loss) /* something was not recorded meanwhile */
		stream_queue_reset(s, "loss", NULL);
}

static void leave_seat(const struct stream *s)
{
	struct seat seat = {stream_from(s), s->seat_of_route, s->seat_of_address, NULL};

	seat_part(s->worker->registry, s->route, s->member.who->channels);
	seat_leave(&seat, s->worker->registry, s->route);
}

/* For whoever watches the daemon. */
static void count(const struct stream *s, bool comes)
{
	struct vitals *v = &s->worker->commons->vitals;
	enum wire_transport t = form_transport(s->form);

	ledger_add(comes ? BUDGET_STREAM : -BUDGET_STREAM);
	if (comes) {
		atomic_fetch_add_explicit(&v->streams[t], 1, memory_order_relaxed);
		atomic_fetch_add_explicit(&v->opened[t], 1, memory_order_relaxed);
	} else {
		atomic_fetch_sub_explicit(&v->streams[t], 1, memory_order_relaxed);
	}
}

struct stream *stream_new(struct worker *w, struct conf *conf, const struct conf_route *route,
			  struct principal *who, const char *token, const struct stream_wish *wish,
			  const char *peer)
{
	const char *last_id = wish->last_id;
	struct stream *s = xcalloc(1, sizeof(*s));

	s->worker = w;
	s->conf = conf_ref(conf); /* a reload may have come since the request began */
	s->route = route;
	s->member.who = who;
	s->member.role = (uint32_t)hub_role(&w->hub, who->role);
	s->fd.fd = -1;
	s->id = ++w->next_stream_id;
	s->token = xasprintf("%s%c%s", token, '\0', peer);
	s->filter = wish->filter;
	s->form = wish->form;
	s->is_answer = transport_is_answer(form_transport(wish->form));
	if (transport_talks(form_transport(wish->form)))
		s->talk = talk_new(stream_now_s(s), &w->http.room);
	s->chunked = wish->chunked;
	s->who_am_i = wish->who_am_i;
	s->door = (uint8_t)wish->door;
	s->seat_of_route = wish->seat.of_route;
	s->seat_of_address = wish->seat.of_address;
	free(wish->seat.channels); /* they are those of its user */
	s->opened_ms = loop_now_ms(w->loop);
	s->wall = s->next_wall = STREAM_NO_WALL;
	stream_set_recheck(s, who);
	queue_init(&s->queue, (size_t)route->queue_events, (size_t)route->queue_bytes);
	list_init(&s->dirty);
	list_init(&s->wheel);
	list_push(&w->streams, &s->node);
	w->n_streams++;
	count(s, true);
	if (last_id && *last_id)
		start_resumed(s, last_id);
	else
		start_fresh(s);
	stream_log(s, last_id && *last_id ? "stream resumed" : "stream opened", NULL);
	return s;
}

void stream_close(struct stream *s, const char *reason)
{
	struct worker *w = s->worker;

	stream_log(s, "stream closed", reason);
	hub_leave(&w->hub, &s->member);
	if (s->fd.fd >= 0) {
		loop_del(w->loop, &s->fd);
		if (s->talk && talk_awaits_close(s->talk))
			parting_take(w, s->fd.fd);
		else
			close(s->fd.fd);
	}
	if (s->replay) {
		s->replay->asker = NULL;
		if (!s->replay_away)
			stream_drop_replay(s);
	}
	if (s->lookup)
		s->lookup->asker = NULL;
	action_forget(s);
	list_remove(&s->node);
	list_remove(&s->dirty);
	list_remove(&s->wheel);
	registry_leave(w->registry, s->member.who->user_id);
	leave_seat(s);
	w->n_streams--;
	count(s, false);
	queue_free(&s->queue);
	explicit_bzero(s->token, strlen(s->token));
	free(s->token);
	free(s->hello);
	free(s->place);
	free(s->skip);
	free(s->joined);
	filter_free(s->filter);
	talk_free(s->talk);
	principal_free(s->member.who);
	conf_unref(s->conf);
	free(s);
	worker_check_drained(w);
}

void stream_end(struct stream *s, enum wire_end end, const char *reason)
{
	if (s->state == STREAM_STARTING) {
		s->close_reason = reason;
		s->end = (uint8_t)end;
		return;
	}
	if (!s->sent_of_first)
		stream_last_words(s, end, reason);
	if (s->talk)
		talk_closes(s->talk);
	stream_close(s, reason);
}

void stream_adopt(struct stream *s, int fd)
{
	s->n_bytes += s->hello_len;
	s->fd = (struct loop_fd){.fd = fd, .ready = on_ready, .arg = s};
	/* Edge-triggered for both directions: no system call when a stream stalls or recovers. */
	if (!loop_add(s->worker->loop, &s->fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)) {
		close(fd);
		s->fd.fd = -1;
		stream_close(s, "no room in epoll");
		return;
	}
	if (s->close_reason) {
		s->state = STREAM_CATCHING; /* in nothing yet */
		stream_end(s, s->end, s->close_reason);
		return;
	}
	if (s->worker->draining)
		stream_farewell(s, "shutdown");
	else
		stream_begin_past(s);
}

/* It ends when what is queued is out. */
static void close_behind(struct stream *s, const char *reason)
{
	hub_leave(&s->worker->hub, &s->member);
	s->state = STREAM_CLOSING;
	s->close_reason = reason;
	if (s->talk)
		talk_closes(s->talk);
	if (!s->blocked)
		worker_dirty(s->worker, &s->dirty);
}

/* The last words; the stream ends behind them. */
static void conclude(struct stream *s, uint64_t retry_ms, const char *reason)
{
	struct cursor_text at = {""};
	struct frame *f;
	struct buf b;

	buf_init(&b, FAREWELL_MAX);
	if (s->is_answer) {
		stream_position(s, &at);
		form_answered(s->form, &b, retry_ms, at.text, stream_ends_soon(s));
	} else {
		form_farewell(s->form, &b, retry_ms, (int64_t)time(NULL), at.text);
	}
	f = frame_new(buf_cstr(&b), b.len);
	buf_free(&b);
	queue_force(&s->queue, f);
	frame_unref(f);
	close_behind(s, reason);
}

void stream_say(struct stream *s, const struct buf *words)
{
	struct frame *f = frame_new(buf_cstr(words), words->len);

	queue_force(&s->queue, f);
	frame_unref(f);
	if (!s->blocked)
		worker_dirty(s->worker, &s->dirty);
}

void stream_part(struct stream *s, const struct buf *words, const char *reason)
{
	stream_say(s, words);
	close_behind(s, reason);
}

void stream_answer(struct stream *s)
{
	if (s->fd.fd >= 0 && s->state != STREAM_CLOSING)
		conclude(s, 0, "answered");
}

void stream_farewell(struct stream *s, const char *reason)
{
	uint32_t r = 0;

	if (s->fd.fd < 0 || s->state == STREAM_CLOSING)
		return;
	if (getrandom(&r, sizeof(r), GRND_NONBLOCK) != sizeof(r))
		r = (uint32_t)s->id * 2654435761U;
	/* Between one and three times the usual: the next daemon gets them spread out. Without a
	 * blank line, which is an event to clients that do not look whether there is data. */
	conclude(s, s->route->retry_ms + r % (2 * s->route->retry_ms + 1), reason);
}

static void on_ready(void *arg, uint32_t events)
{
	struct stream *s = arg;

	if (s->talk) {
		talk_ready(s, events);
		return;
	}
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
				stream_end(s, END_RESTART, "the client talks on an event stream");
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
