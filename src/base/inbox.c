/* SPDX-License-Identifier: PostgreSQL
 * See inbox.h. */
#include "config.h"
#include "base/inbox.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void on_wake(void *arg, uint32_t events)
{
	struct inbox *in = arg;
	struct list got;
	uint64_t n;
	ssize_t r = read(in->wake.fd, &n, sizeof(n));

	(void)r;
	(void)events;
	list_init(&got);
	pthread_mutex_lock(&in->lock);
	list_splice(&got, &in->letters);
	pthread_mutex_unlock(&in->lock);
	if (!list_empty(&got))
		in->open(in->arg, &got);
}

bool inbox_init(struct inbox *in, struct loop *loop, void (*open)(void *, struct list *), void *arg)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (fd < 0)
		return false;
	*in = (struct inbox){.loop = loop, .open = open, .arg = arg};
	in->wake = (struct loop_fd){.fd = fd, .ready = on_wake, .arg = in};
	list_init(&in->letters);
	pthread_mutex_init(&in->lock, NULL);
	if (!loop_add(loop, &in->wake, EPOLLIN)) {
		int saved = errno;

		close(fd);
		errno = saved;
		return false;
	}
	return true;
}

void inbox_close(struct inbox *in, void (*drop)(struct letter *))
{
	LIST_EACH (&in->letters, node, tmp) {
		list_remove(node);
		drop(LIST_ENTRY(node, struct letter, node));
	}
	while (atomic_load_explicit(&in->waking, memory_order_acquire))
		sched_yield();
	loop_del(in->loop, &in->wake);
	close(in->wake.fd);
	pthread_mutex_destroy(&in->lock);
}

void inbox_post(struct inbox *in, struct letter *letter)
{
	static const uint64_t one = 1;
	bool first;
	ssize_t r;

	pthread_mutex_lock(&in->lock);
	first = list_empty(&in->letters);
	list_push(&in->letters, &letter->node);
	if (first)
		atomic_fetch_add_explicit(&in->waking, 1, memory_order_relaxed);
	pthread_mutex_unlock(&in->lock);
	if (!first)
		return;
	/* Outside the lock, which the owner wants as soon as it is awake. It may even have taken
	 * the letter already and be closing the inbox: that waits for `waking`. */
	r = write(in->wake.fd, &one, sizeof(one));
	assert(r == sizeof(one) || errno == EAGAIN);
	(void)r;
	atomic_fetch_sub_explicit(&in->waking, 1, memory_order_release);
}
