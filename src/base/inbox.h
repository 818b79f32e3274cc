/* SPDX-License-Identifier: PostgreSQL
 * The one way between threads: a list under a mutex and an eventfd that wakes the owner's loop.
 * A letter belongs to whoever holds it: to the poster before inbox_post(), to the owner after. */
#ifndef PGHERALD_BASE_INBOX_H
#define PGHERALD_BASE_INBOX_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/list.h"
#include "base/loop.h"
#include "base/mem.h"

struct letter {
	struct list node;
	int kind; /* what struct it is the first member of: see hub/post.h */
};

struct inbox {
	pthread_mutex_t lock;
	struct list letters;
	atomic_uint waking; /* posters that are about to write to `wake` */
	struct loop_fd wake;
	struct loop *loop;
	void (*open)(void *arg, struct list *letters);
	void *arg;
};

/* Letters arrive in open(arg, letters), on the loop's thread, all that wait at once and in the
 * order of posting; open() takes each out of the list. False with errno without an eventfd. */
bool inbox_init(struct inbox *in, struct loop *loop, void (*open)(void *, struct list *),
		void *arg) MUST_CHECK;
/* The owner's loop must no longer turn; letters still inside are handed to `drop`. */
void inbox_close(struct inbox *in, void (*drop)(struct letter *));
/* From any thread. */
void inbox_post(struct inbox *in, struct letter *letter);

#endif
