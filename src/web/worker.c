/* SPDX-License-Identifier: PostgreSQL
 * See worker.h. */
#include "config.h"
#include "web/worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "web/arrival.h"
#include "web/parting.h"
#include "web/stream.h"

#define WORDS_MAX 512 /* bytes of the daemon's own frames */

static struct stream *stream_at(struct list *node)
{
	return LIST_ENTRY(node, struct stream, node);
}

/* Flushes what this turn has queued. A live stream that was flushed a moment ago waits for its
 * interval, so that under load many events share one system call; one that catches up does not. */
static void flush_dirty(struct worker *w)
{
	uint64_t now = loop_now_ms(w->loop);
	struct list todo;

	list_init(&todo);
	list_splice(&todo, &w->dirty);
	while (!list_empty(&todo)) {
		struct stream *s = LIST_ENTRY(todo.next, struct stream, dirty);

		list_remove(&s->dirty);
		if (s->state == STREAM_LIVE && now < s->flushed_ms + w->conf->flush_ms)
			list_push(&w->dirty, &s->dirty);
		else
			stream_flush(s, now); /* may free it, or make it dirty again */
	}
	joined_forget(&w->joined);
	if (list_empty(&w->dirty))
		loop_timer_clear(w->loop, &w->flush);
	else if (!w->flush.place)
		loop_timer_set(w->loop, &w->flush, 1);
}

static void on_flush(void *arg)
{
	flush_dirty(arg);
}

void worker_dirty(struct worker *w, struct list *node)
{
	if (list_empty(node))
		list_push(&w->dirty, node);
	/* Woken at once: whatever else this turn queues goes along. */
	if (!w->flush.place)
		loop_timer_set(w->loop, &w->flush, 0);
}

/* What all streams of a form are sent, made for the first of them. */
struct words {
	void (*write)(uint32_t form, struct buf *b, const char *text);
	const char *text;
	struct frame *frames; /* one for each form, by its number */
};

/* NULL where there is nothing. */
static struct frame *words_in(struct words *words, uint32_t form)
{
	struct frame *f = words->frames;
	struct buf b;

	while (f && f->kind != form)
		f = f->next;
	if (f)
		return f;
	buf_init(&b, WORDS_MAX);
	words->write(form, &b, words->text);
	if (b.len) {
		f = frame_new(buf_cstr(&b), b.len);
		f->kind = form;
		f->next = words->frames;
		words->frames = f;
	}
	buf_free(&b);
	return f;
}

static void words_free(struct words *words)
{
	for (struct frame *f = words->frames, *next; f; f = next) {
		next = f->next;
		frame_unref(f);
	}
}

static void write_keepalive(uint32_t form, struct buf *b, const char *id)
{
	form_keepalive(form, b, (int64_t)time(NULL), id);
}

static void write_comment(uint32_t form, struct buf *b, const char *text)
{
	form_comment(form, b, text);
}

static void write_probe(uint32_t form, struct buf *b, const char *none)
{
	(void)none;
	form_probe(form, b, (int64_t)time(NULL));
}

static void wheel_put(struct worker *w, struct stream *s)
{
	uint64_t period = s->route->keepalive_ms / 1000;

	s->keepalive_s = (uint32_t)(w->wheel_s + (period ? period : 1));
	list_push(&w->wheel[s->keepalive_s % WHEEL_SLOTS], &s->wheel);
}

static void turn_wheel(struct worker *w)
{
	/* With the id, a quiet client's Last-Event-ID moves along and it need not replay hours. */
	struct words with_id = {.write = write_keepalive, .text = w->position.text};
	struct words without = {.write = write_keepalive};
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

static void on_tick(void *arg)
{
	struct worker *w = arg;
	uint64_t now = loop_now_ms(w->loop), s = now / 1000;

	for (; w->wheel_s < s; turn_wheel(w))
		w->wheel_s++;
	LIST_EACH (&w->streams, node, tmp) {
		struct stream *stream = stream_at(node);

		if (list_empty(&stream->wheel)) /* new since the last second */
			wheel_put(w, stream);
		stream_tick(stream);
	}
	arrivals_tick(w);
	partings_tick(w, now);
	door_tick(w, now);
	loop_timer_set(w->loop, &w->tick, 1000 - now % 1000);
}

static void comment_all(struct worker *w, const char *text)
{
	struct words words = {.write = write_comment, .text = text};

	LIST_EACH (&w->streams, node, tmp) {
		struct stream *s = stream_at(node);
		struct frame *f = s->fd.fd >= 0 ? words_in(&words, s->form) : NULL;

		if (f)
			stream_offer(s, f);
	}
	words_free(&words);
}

/* Everybody whose rights change with these events is held before the first of them goes out: what
 * was written with the change, or behind it, waits for a verdict. One walk for all changes. */
static void hold_concerned(struct worker *w, const struct post_events *p)
{
	struct keys users = {0};
	size_t n_changes = 0, max = 0;
	bool everybody = p->restart; /* what changed in the gap is not known */

	for (size_t i = 0; i < p->n; i++)
		if (p->events[i]->op == 'a') {
			n_changes++;
			max += p->events[i]->before.n;
			everybody |= !p->events[i]->before.n;
		}
	if (!n_changes && !everybody)
		return;
	w->rights_changes++;
	users.list = xcalloc(max, sizeof(*users.list));
	for (size_t i = 0; i < p->n && !everybody; i++)
		for (size_t k = 0; p->events[i]->op == 'a' && k < p->events[i]->before.n; k++)
			users.list[users.n++] = p->events[i]->before.list[k];
	keys_sort(&users);
	LIST_EACH (&w->streams, node, tmp)
		if (stream_is_concerned(stream_at(node), &users))
			stream_hold(stream_at(node), w->hub.ring.head);
	free(users.list);
}

static void take_position(struct worker *w, const struct post_events *p)
{
	w->position = p->position;
	w->known = cursor_parse(&w->position_cursor, p->position.text, strlen(p->position.text));
	w->position_xmin = p->position_xmin;
}

/* `last`: no letter with events follows in this turn. */
static void take_events(struct worker *w, struct post_events *p, bool last)
{
	if (p->restart) {
		take_position(w, p);
		ring_reset(&w->hub.ring, p->floor);
		LIST_EACH (&w->streams, node, tmp)
			stream_restart(stream_at(node));
	}
	hold_concerned(w, p);
	for (size_t i = 0; i < p->n; i++) {
		w->last_event = last && i + 1 == p->n;
		if (p->events[i]->op != 'a')
			hub_publish(&w->hub, p->events[i]);
		event_unref(p->events[i]);
	}
	w->last_event = false;
	if (!w->database_up)
		w->late_seq = w->hub.ring.head;
	take_position(w, p);
	p->n = 0; /* they have gone one by one */
	post_events_free(p);
}

static void take_database(struct worker *w, struct post_database *p)
{
	if (p->up != w->database_up)
		comment_all(w, p->up ? "database connection restored"
				     : "database connection lost; events follow when it is back");
	w->database_up = p->up;
	LIST_EACH (&w->streams, node, tmp)
		stream_database(stream_at(node));
	if (p->up)
		arrivals_go(w);
	free(p);
}

static void take_replay(struct worker *w, struct post_replay *p)
{
	(void)w;
	if (p->asker)
		stream_replayed(p->asker);
	else /* its stream has gone */
		post_replay_free(p);
}

static void topics(struct worker *w)
{
	free(w->topics);
	free(w->live_topics);
	w->topics = conf_topics(w->conf);
	w->live_topics = conf_live_topics(w->conf);
}

static void probe_one(struct hub_member *m, void *words)
{
	struct stream *s = (struct stream *)m;

	stream_probe(s, words_in(words, s->form));
}

/* Whoever asks waits for the letter to come back; with the credential, or without. */
static void take_renewal(struct worker *w, struct post_lookup *l)
{
	l->verdict = LOOKUP_UNKNOWN;
	LIST_EACH (&w->streams, node, tmp)
		if (stream_at(node)->id == l->stream) {
			if (stream_renew(stream_at(node), l->who->user_id, l->auth, l->token))
				l->verdict = LOOKUP_OK;
			break;
		}
	l->letter.kind = POST_LOOKUP;
	inbox_post(l->reply_to, &l->letter);
}

static void take_probe(struct worker *w, struct post_probe *p)
{
	struct words words = {.write = write_probe};

	hub_each_of_user(&w->hub, p->user_id, probe_one, &words);
	words_free(&words);
	free(p);
}

static void take_conf(struct worker *w, struct post_conf *p)
{
	struct conf *old = w->conf;

	LIST_EACH (&w->streams, node, tmp)
		hub_leave(&w->hub, &stream_at(node)->member);
	w->conf = p->conf;
	free(p);
	topics(w);
	hub_set_policies(&w->hub, w->conf->roles, w->conf->n_roles);
	LIST_EACH (&w->streams, node, tmp)
		stream_reload(stream_at(node));
	conf_unref(old);
}

static void take_problems(struct worker *w, struct post_problems *p)
{
	free(w->problems);
	w->problems = *p->lines ? xstrdup(p->lines) : NULL;
	free(p);
}

static void stop_now(struct worker *w, const char *reason)
{
	LIST_EACH (&w->streams, node, tmp)
		if (stream_at(node)->fd.fd >= 0)
			stream_end(stream_at(node), END_RESTART, reason);
}

void worker_check_drained(struct worker *w)
{
	struct letter *l;

	if (!w->draining || w->drained || w->n_streams || w->http.n_requests ||
	    !list_empty(&w->partings))
		return;
	w->drained = true;
	loop_timer_clear(w->loop, &w->drain_limit);
	l = xcalloc(1, sizeof(*l));
	l->kind = POST_DRAINED;
	inbox_post(w->db, l);
}

static void on_drain_limit(void *arg)
{
	stop_now(arg, "shutdown: the client did not take the rest in time");
}

/* Those that can be go to the next process, with their connections. */
static void hand_over(struct worker *w)
{
	uint64_t now = loop_now_ms(w->loop);
	size_t stay = 0;

	LIST_EACH (&w->streams, node, tmp)
		if (stream_at(node)->queue.n && !stream_at(node)->blocked &&
		    stream_at(node)->fd.fd >= 0)
			stream_flush(stream_at(node), now); /* may free it */
	LIST_EACH (&w->streams, node, tmp)
		stay += !stream_leave(stream_at(node), w->commons->departure);
	if (stay)
		log_info("worker %u: %zu streams cannot be handed over", w->number, stay);
}

static void drain(struct worker *w)
{
	w->draining = true;
	door_quiesce(w);
	arrivals_refuse(w);
	if (w->commons->departure)
		hand_over(w);
	loop_timer_set(w->loop, &w->drain_limit, w->conf->drain_ms);
	LIST_EACH (&w->streams, node, tmp)
		stream_farewell(stream_at(node), "shutdown");
	worker_check_drained(w);
}

/* The last one that brings events, or NULL. */
static const struct letter *last_with_events(const struct list *letters)
{
	for (struct list *node = letters->prev; node != letters; node = node->prev) {
		const struct letter *l = LIST_ENTRY(node, struct letter, node);

		if (l->kind == POST_EVENTS && ((const struct post_events *)l)->n)
			return l;
	}
	return NULL;
}

static void on_post(void *arg, struct list *letters)
{
	struct worker *w = arg;
	const struct letter *last = last_with_events(letters);

	LIST_EACH (letters, node, tmp) {
		struct letter *l = LIST_ENTRY(node, struct letter, node);
		struct post_lookup *lookup;
		struct post_publish *publish;

		list_remove(node);
		switch (l->kind) {
		case POST_EVENTS:
			take_events(w, (struct post_events *)l, l == last);
			break;
		case POST_DATABASE:
			take_database(w, (struct post_database *)l);
			break;
		case POST_LOOKUP:
			lookup = (struct post_lookup *)l;
			lookup->answered(lookup);
			break;
		case POST_RENEW:
			take_renewal(w, (struct post_lookup *)l);
			break;
		case POST_REPLAY:
			take_replay(w, (struct post_replay *)l);
			break;
		case POST_PUBLISH:
			publish = (struct post_publish *)l;
			publish->answered(publish);
			break;
		case POST_CONF:
			take_conf(w, (struct post_conf *)l);
			break;
		case POST_PROBLEMS:
			take_problems(w, (struct post_problems *)l);
			break;
		case POST_PROBE:
			take_probe(w, (struct post_probe *)l);
			break;
		case POST_DRAIN:
			drain(w);
			free(l);
			break;
		case POST_STOP:
			loop_stop(w->loop);
			free(l);
			break;
		}
	}
	flush_dirty(w);
	http_settle(w);
}

static void drop(struct letter *l)
{
	switch (l->kind) {
	case POST_EVENTS:
		post_events_free((struct post_events *)l);
		break;
	case POST_LOOKUP:
	case POST_RENEW:
		post_lookup_free((struct post_lookup *)l);
		break;
	case POST_REPLAY:
		post_replay_free((struct post_replay *)l);
		break;
	case POST_PUBLISH:
		post_publish_free((struct post_publish *)l);
		break;
	case POST_CONF:
		conf_unref(((struct post_conf *)l)->conf);
		free(l);
		break;
	default:
		free(l);
	}
}

struct worker *worker_new(unsigned number, struct conf *conf, const int *fds, size_t n_fds,
			  struct inbox *db, struct commons *commons)
{
	struct worker *w = xcalloc(1, sizeof(*w));

	w->number = number;
	w->conf = conf_ref(conf);
	w->db = db;
	w->commons = commons;
	w->registry = commons->registry;
	topics(w);
	list_init(&w->streams);
	list_init(&w->arrivals);
	list_init(&w->partings);
	list_init(&w->dirty);
	for (size_t i = 0; i < WHEEL_SLOTS; i++)
		list_init(&w->wheel[i]);
	w->flush = (struct loop_timer){.fire = on_flush, .arg = w};
	w->tick = (struct loop_timer){.fire = on_tick, .arg = w};
	w->drain_limit = (struct loop_timer){.fire = on_drain_limit, .arg = w};
	hub_init(&w->hub, conf->roles, conf->n_roles, (size_t)conf->ring_events, conf->ring_bytes,
		 stream_deliver);
	w->loop = loop_new();
	if (!w->loop || !inbox_init(&w->inbox, w->loop, on_post, w) || !http_start(w) ||
	    !door_open(w, fds, n_fds)) {
		log_error("worker %u does not start: %m", number);
		return NULL; /* the process ends: nothing to tidy */
	}
	w->wheel_s = loop_now_ms(w->loop) / 1000;
	loop_timer_set(w->loop, &w->tick, 1000);
	return w;
}

static void *thread_main(void *arg)
{
	struct worker *w = arg;

	loop_run(w->loop);
	return NULL;
}

bool worker_start(struct worker *w)
{
	int r = pthread_create(&w->thread, NULL, thread_main, w);

	if (r)
		log_error("worker %u: no thread: %s", w->number, strerror(r));
	return r == 0;
}

void worker_join(struct worker *w)
{
	pthread_join(w->thread, NULL);
}

void worker_free(struct worker *w)
{
	w->draining = w->drained = true; /* nobody waits for a word any more */
	arrivals_refuse(w);
	stop_now(w, "stopped");
	partings_end(w);
	door_close(w);
	http_stop(w);
	loop_timer_clear(w->loop, &w->tick);
	loop_timer_clear(w->loop, &w->flush);
	loop_timer_clear(w->loop, &w->drain_limit);
	inbox_close(&w->inbox, drop);
	hub_free(&w->hub);
	loop_free(w->loop);
	free(w->topics);
	free(w->live_topics);
	free(w->problems);
	conf_unref(w->conf);
	free(w);
}
