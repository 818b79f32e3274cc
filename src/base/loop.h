/* SPDX-License-Identifier: PostgreSQL
 * One thread's event loop: epoll, a timer heap, nothing else. Handlers are structs inside the
 * things they serve, so that adding one allocates nothing. Not thread-safe but for inbox.h. */
#ifndef PGHERALD_BASE_LOOP_H
#define PGHERALD_BASE_LOOP_H

#include "base/mem.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

struct loop;

struct loop_fd {
	int fd;
	void (*ready)(void *arg, uint32_t events); /* events: EPOLLIN, EPOLLOUT … */
	void *arg;
};

struct loop_timer {
	void (*fire)(void *arg);
	void *arg;
	uint64_t at_ms;	 /* on the loop's clock */
	uint64_t number; /* of the setting: equal times fire in the order of setting */
	uint32_t place;	 /* in the heap, from 1; 0 = not set */
};

/* A loop, or NULL with errno when the kernel gives no epoll descriptor. */
struct loop *loop_new(void);
void loop_free(struct loop *l);
/* Turns until loop_stop(); callable from a handler. */
void loop_run(struct loop *l);
void loop_stop(struct loop *l);
/* One turn that waits at most `max_wait_ms`; for tests and for draining. */
void loop_turn(struct loop *l, int max_wait_ms);
/* Milliseconds of CLOCK_MONOTONIC, read once per turn. */
uint64_t loop_now_ms(const struct loop *l);
/* Watches h->fd for `events`; the struct stays with the caller until loop_del(). */
bool loop_add(struct loop *l, struct loop_fd *h, uint32_t events) MUST_CHECK;
void loop_mod(struct loop *l, struct loop_fd *h, uint32_t events);
/* Stops watching; events already fetched for it in this turn are dropped. Does not close. */
void loop_del(struct loop *l, struct loop_fd *h);
/* Fires once, `delay_ms` from now; setting a set timer moves it. One that is set by a timer's
 * handler fires in the next turn at the earliest: descriptors get theirs in between. */
void loop_timer_set(struct loop *l, struct loop_timer *t, uint64_t delay_ms);
void loop_timer_clear(struct loop *l, struct loop_timer *t);

#endif
