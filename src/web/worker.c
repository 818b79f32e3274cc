/* SPDX-License-Identifier: PostgreSQL
 * See worker.h. */
#include "config.h"
#include "web/worker.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "web/arrival.h"
#include "web/letters.h"
#include "web/parting.h"
#include "web/shed.h"
#include "web/stream.h"
#include "web/wheel.h"

static struct stream *stream_at(struct list *node)
{
	return LIST_ENTRY(node, struct stream, node);
}

void worker_flush(struct worker *w)
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
	shed_slowest(w);
	if (list_empty(&w->dirty))
		loop_timer_clear(w->loop, &w->flush);
	else if (!w->flush.place)
		loop_timer_set(w->loop, &w->flush, 1);
}

static void on_flush(void *arg)
{
	worker_flush(arg);
}

void worker_dirty(struct worker *w, struct list *node)
{
	if (list_empty(node))
		list_push(&w->dirty, node);
	/* Woken at once: whatever else this turn queues goes along. */
	if (!w->flush.place)
		loop_timer_set(w->loop, &w->flush, 0);
}

static void on_tick(void *arg)
{
	struct worker *w = arg;
	uint64_t now = loop_now_ms(w->loop), s = now / 1000;

	for (; w->wheel_s < s; wheel_turn(w))
		w->wheel_s++;
	LIST_EACH (&w->streams, node, tmp) {
		struct stream *stream = stream_at(node);

		if (list_empty(&stream->wheel)) /* new since the last second */
			wheel_begin(w, stream);
		stream_tick(stream);
	}
	shed_tick(w);
	arrivals_tick(w);
	partings_tick(w, now);
	door_tick(w, now);
	loop_timer_set(w->loop, &w->tick, 1000 - now % 1000);
}

void worker_note_topics(struct worker *w)
{
	free(w->topics);
	free(w->live_topics);
	w->topics = conf_topics(w->conf);
	w->live_topics = conf_live_topics(w->conf);
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

void worker_drain(struct worker *w)
{
	w->draining = true;
	door_quiesce(w);
	if (w->commons->departure) {
		arrivals_leave(w, w->commons->departure);
		hand_over(w);
	}
	arrivals_refuse(w);
	loop_timer_set(w->loop, &w->drain_limit, w->conf->drain_ms);
	LIST_EACH (&w->streams, node, tmp)
		stream_farewell(stream_at(node), "shutdown");
	worker_check_drained(w);
}

/* Whoever has been handed over still has the name of his stream from the process before: it must be
 * nobody's here. */
static uint64_t random_start(void)
{
	uint32_t r = 0;

	if (getrandom(&r, sizeof(r), GRND_NONBLOCK) != sizeof(r))
		r = (uint32_t)getpid() << 8;
	return r;
}

struct worker *worker_new(unsigned number, struct conf *conf, const int *fds, size_t n_fds,
			  struct inbox *db, struct commons *commons)
{
	struct worker *w = xcalloc(1, sizeof(*w));

	w->number = number;
	w->next_stream_id = random_start();
	w->conf = conf_ref(conf);
	w->db = db;
	w->commons = commons;
	w->registry = commons->registry;
	worker_note_topics(w);
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
	if (!w->loop || !inbox_init(&w->inbox, w->loop, letters_take, w) || !http_start(w) ||
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

	budget_enter(&w->commons->budget, w->number);
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
	http_stop(w); /* the door gets back whose bodies it has not read */
	door_close(w);
	loop_timer_clear(w->loop, &w->tick);
	loop_timer_clear(w->loop, &w->flush);
	loop_timer_clear(w->loop, &w->drain_limit);
	inbox_close(&w->inbox, letters_drop);
	hub_free(&w->hub);
	loop_free(w->loop);
	free(w->topics);
	free(w->live_topics);
	free(w->problems);
	conf_unref(w->conf);
	free(w);
}
