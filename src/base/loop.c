/* SPDX-License-Identifier: PostgreSQL
 * See loop.h. */
#include "config.h"
#include "base/loop.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

#define MAX_EVENTS 256 /* per epoll_wait: bounds how long one turn can get */

struct loop {
	int epoll;
	bool stop;
	uint64_t now_ms;
	uint64_t n_set;		  /* timer settings so far */
	struct loop_timer **heap; /* heap[1] fires first */
	uint32_t n_timers, cap_timers;
	struct epoll_event events[MAX_EVENTS];
	int n_events, current; /* the batch being handed out; current < 0 between turns */
};

static uint64_t clock_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

struct loop *loop_new(void)
{
	struct loop *l = xcalloc(1, sizeof(*l));

	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll < 0) {
		free(l);
		return NULL;
	}
	l->now_ms = clock_ms();
	l->current = -1;
	return l;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	close(l->epoll);
	free(l->heap);
	free(l);
}

uint64_t loop_now_ms(const struct loop *l)
{
	return l->now_ms;
}

bool loop_add(struct loop *l, struct loop_fd *h, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = h};

	return epoll_ctl(l->epoll, EPOLL_CTL_ADD, h->fd, &ev) == 0;
}

void loop_mod(struct loop *l, struct loop_fd *h, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = h};
	int r = epoll_ctl(l->epoll, EPOLL_CTL_MOD, h->fd, &ev);

	assert(r == 0);
	(void)r;
}

void loop_del(struct loop *l, struct loop_fd *h)
{
	epoll_ctl(l->epoll, EPOLL_CTL_DEL, h->fd, NULL);
	if (l->current < 0)
		return;
	for (int i = l->current; i < l->n_events; i++)
		if (l->events[i].data.ptr == h)
			l->events[i].data.ptr = NULL;
}

static void place(struct loop *l, struct loop_timer *t, uint32_t i)
{
	l->heap[i] = t;
	t->place = i;
}

static bool earlier(const struct loop_timer *a, const struct loop_timer *b)
{
	return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->number < b->number;
}

static void sift_up(struct loop *l, struct loop_timer *t, uint32_t i)
{
	for (; i > 1 && earlier(t, l->heap[i / 2]); i /= 2)
		place(l, l->heap[i / 2], i);
	place(l, t, i);
}

static void sift_down(struct loop *l, struct loop_timer *t, uint32_t i)
{
	for (uint32_t child; (child = i * 2) <= l->n_timers; i = child) {
		if (child < l->n_timers && earlier(l->heap[child + 1], l->heap[child]))
			child++;
		if (!earlier(l->heap[child], t))
			break;
		place(l, l->heap[child], i);
	}
	place(l, t, i);
}

void loop_timer_clear(struct loop *l, struct loop_timer *t)
{
	uint32_t i = t->place;
	struct loop_timer *last;

	if (!i)
		return;
	t->place = 0;
	last = l->heap[l->n_timers--];
	if (last == t)
		return;
	if (i > 1 && earlier(last, l->heap[i / 2]))
		sift_up(l, last, i);
	else
		sift_down(l, last, i);
}

void loop_timer_set(struct loop *l, struct loop_timer *t, uint64_t delay_ms)
{
	loop_timer_clear(l, t);
	t->at_ms = l->now_ms + delay_ms;
	t->number = l->n_set++;
	if (++l->n_timers >= l->cap_timers) {
		l->cap_timers = l->cap_timers ? l->cap_timers * 2 : 16;
		l->heap = xrealloc(l->heap, l->cap_timers, sizeof(*l->heap));
	}
	sift_up(l, t, l->n_timers);
}

static int wait_ms(const struct loop *l, int max_wait_ms)
{
	uint64_t left;

	if (!l->n_timers)
		return max_wait_ms;
	left = l->heap[1]->at_ms > l->now_ms ? l->heap[1]->at_ms - l->now_ms : 0;
	if (max_wait_ms >= 0 && left > (uint64_t)max_wait_ms)
		return max_wait_ms;
	return left > INT_MAX ? INT_MAX : (int)left;
}

void loop_turn(struct loop *l, int max_wait_ms)
{
	uint64_t n_set;
	int n;

	l->now_ms = clock_ms();
	n = epoll_wait(l->epoll, l->events, MAX_EVENTS, wait_ms(l, max_wait_ms));
	assert(n >= 0 || errno == EINTR);
	l->now_ms = clock_ms();
	l->n_events = n < 0 ? 0 : n;
	for (l->current = 0; l->current < l->n_events; l->current++) {
		struct loop_fd *h = l->events[l->current].data.ptr;

		if (h)
			h->ready(h->arg, l->events[l->current].events);
	}
	l->current = -1;
	n_set = l->n_set; /* what is set from here on sorts behind what was due before */
	while (l->n_timers && l->heap[1]->at_ms <= l->now_ms && l->heap[1]->number < n_set) {
		struct loop_timer *t = l->heap[1];

		loop_timer_clear(l, t);
		t->fire(t->arg);
	}
}

void loop_run(struct loop *l)
{
	l->stop = false;
	while (!l->stop)
		loop_turn(l, -1);
}

void loop_stop(struct loop *l)
{
	l->stop = true;
}
