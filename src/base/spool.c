/* SPDX-License-Identifier: PostgreSQL
 * See spool.h. */
#include "config.h"
#include "base/spool.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct spool {
	pthread_mutex_t lock;
	pthread_cond_t filled, emptied;
	int fd;
	void (*lost)(struct buf *line, uint64_t n);
	uint64_t n_lost;	/* since the last line that said so */
	bool writing;		/* the thread has a piece in its hands */
	size_t max, begin, len; /* bytes[begin ...], around the end */
	char bytes[];
};

static void put(struct spool *s, const char *line, size_t len)
{
	size_t at = (s->begin + s->len) % s->max;
	size_t first = len < s->max - at ? len : s->max - at;

	memcpy(s->bytes + at, line, first);
	memcpy(s->bytes, line + first, len - first);
	s->len += len;
}

static bool fits(const struct spool *s, size_t len)
{
	return len <= s->max - s->len;
}

/* As long as lines that were lost have not been told of, all others are lost with them. */
static void tell_lost(struct spool *s)
{
	autobuf line = {0};

	buf_init(&line, SPOOL_LINE_MAX);
	s->lost(&line, s->n_lost);
	if (!fits(s, line.len))
		return;
	put(s, buf_cstr(&line), line.len);
	s->n_lost = 0;
}

void spool_add(struct spool *s, const char *line, size_t len)
{
	pthread_mutex_lock(&s->lock);
	if (s->n_lost || !fits(s, len)) {
		s->n_lost++;
	} else {
		put(s, line, len);
		pthread_cond_signal(&s->filled);
	}
	pthread_mutex_unlock(&s->lock);
}

/* Whole lines, as many as a pipe takes without mixing them with those of other processes; a longer
 * line alone. */
static size_t take(struct spool *s, char *out)
{
	size_t n = s->len < SPOOL_LINE_MAX ? s->len : SPOOL_LINE_MAX;
	size_t first = n < s->max - s->begin ? n : s->max - s->begin, end;
	const char *newline;

	memcpy(out, s->bytes + s->begin, first);
	memcpy(out + first, s->bytes, n - first);
	newline = n > PIPE_BUF ? memrchr(out, '\n', PIPE_BUF) : NULL;
	if (!newline && n > PIPE_BUF)
		newline = memchr(out, '\n', n);
	end = newline ? (size_t)(newline - out) + 1 : n;
	s->begin = (s->begin + end) % s->max;
	s->len -= end;
	return end;
}

/* Waits as long as it takes; on an error, what is left of the piece goes nowhere. */
static void write_all(int fd, const char *p, size_t len)
{
	while (len) {
		ssize_t n = write(fd, p, len);
		struct pollfd ready = {.fd = fd, .events = POLLOUT};

		if (n >= 0) {
			p += n;
			len -= (size_t)n;
		} else if (errno == EAGAIN) { /* somebody else made it so */
			poll(&ready, 1, -1);
		} else if (errno != EINTR) {
			return;
		}
	}
}

static void *run(void *arg)
{
	struct spool *s = arg;
	char piece[SPOOL_LINE_MAX];

	pthread_mutex_lock(&s->lock);
	for (;;) {
		size_t n;

		if (s->n_lost)
			tell_lost(s);
		if (!s->len) {
			pthread_cond_broadcast(&s->emptied);
			pthread_cond_wait(&s->filled, &s->lock);
			continue;
		}
		n = take(s, piece);
		s->writing = true;
		pthread_mutex_unlock(&s->lock);
		write_all(s->fd, piece, n);
		pthread_mutex_lock(&s->lock);
		s->writing = false;
	}
	return NULL; /* never */
}

struct spool *spool_start(int fd, size_t max, void (*lost)(struct buf *line, uint64_t n))
{
	struct spool *s = xcalloc(1, sizeof(*s) + max);
	pthread_condattr_t monotonic;
	sigset_t all, before;
	pthread_t thread;
	int r;

	s->fd = fd;
	s->max = max;
	s->lost = lost;
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&s->filled, &monotonic);
	pthread_cond_init(&s->emptied, &monotonic);
	pthread_condattr_destroy(&monotonic);
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	r = pthread_create(&thread, NULL, run, s);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r) {
		free(s);
		errno = r;
		return NULL;
	}
	pthread_detach(thread); /* it may be waiting for a reader when the process ends */
	return s;
}

bool spool_flush(struct spool *s, unsigned wait_ms)
{
	struct timespec until;
	int r = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (time_t)(wait_ms / 1000);
	until.tv_nsec += (long)(wait_ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&s->lock);
	while ((s->len || s->n_lost || s->writing) && !r)
		r = pthread_cond_timedwait(&s->emptied, &s->lock, &until);
	pthread_mutex_unlock(&s->lock);
	return r == 0;
}
