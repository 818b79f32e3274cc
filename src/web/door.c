/* SPDX-License-Identifier: PostgreSQL
 * See door.h. */
#include "config.h"
#include "web/door.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "web/answer.h"
#include "web/caller.h"
#include "web/worker.h"

#define ACCEPTS_A_TURN	64
#define ACCEPTS_SHARED	8  /* the other workers are awake for the rest */
#define SHARE_SLACK	16 /* streams that a worker may have beyond its share */
#define ACCEPT_AGAIN_MS 20

/* Says so to a client whose descriptor is the spare one, and hangs up. */
static void say_full(const struct worker *w, int fd)
{
	const struct answer_refusal full = {MHD_HTTP_SERVICE_UNAVAILABLE,
					    "No connections left; try again.",
					    tally_name(TALLY_DESCRIPTORS), NULL};
	struct head head = {0};
	char bytes[4096];
	ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_PEEK | MSG_DONTWAIT);
	struct buf b;

	if (n > 0)
		head_find_origin(&head, bytes, (size_t)n);
	answer_refusal(&b, w->conf, &full, head.origin ? bytes + head.origin : NULL,
		       head.origin_len, true);
	(void)!send(fd, buf_cstr(&b), b.len, MSG_DONTWAIT | MSG_NOSIGNAL);
	buf_free(&b);
	shutdown(fd, SHUT_WR);
	/* Unread bytes would turn the close into a reset that can overtake the answer. */
	(void)!recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	close(fd);
}

/* Descriptors have run out, though clients have not taken them: give up the spare one and take the
 * client. Otherwise the listening socket would stay readable and the loop would spin. False when
 * nobody waits. */
static bool turn_away(struct worker *w, struct loop_fd *listener)
{
	struct door *d = &w->door;
	int fd;

	close(d->spare_fd);
	fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd >= 0)
		say_full(w, fd);
	d->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return fd >= 0;
}

/* Of workers that have the same socket, a client wakes one. */
static bool watch(struct worker *w, struct door_listener *l)
{
	if (!l->watched)
		l->watched = loop_add(w->loop, &l->fd, EPOLLIN | EPOLLEXCLUSIVE);
	return l->watched;
}

static void unwatch(struct worker *w, struct door_listener *l)
{
	if (l->watched)
		loop_del(w->loop, &l->fd); /* what is exclusive cannot be changed */
	l->watched = false;
}

/* Of those who wait for a shared socket the kernel always wakes the same one first. So who has more
 * than its share of the streams stays away from it; somebody always has less. */
static bool crowded(const struct worker *w)
{
	size_t n = w->commons->n_workers;

	return n > 1 && w->n_streams > registry_streams(w->registry) / n + SHARE_SLACK;
}

static void pause_accepting(struct worker *w)
{
	struct door *d = &w->door;

	if (d->paused)
		return;
	d->paused = true;
	for (size_t i = 0; i < d->n_listeners; i++)
		unwatch(w, &d->listeners[i]);
	loop_timer_set(w->loop, &d->again, ACCEPT_AGAIN_MS);
}

static void on_again(void *arg)
{
	struct worker *w = arg;
	struct door *d = &w->door;

	d->paused = false;
	for (size_t i = 0; i < d->n_listeners; i++) {
		if (watch(w, &d->listeners[i]))
			continue;
		while (i--)
			unwatch(w, &d->listeners[i]);
		d->paused = true;
		loop_timer_set(w->loop, &d->again, ACCEPT_AGAIN_MS);
		return;
	}
}

static void note(struct worker *w, enum tally_reason reason, unsigned n)
{
	while (n--)
		tally_note(&w->commons->tally, reason, loop_now_ms(w->loop), NULL, NULL);
}

static bool has_room(struct worker *w)
{
	unsigned evicted;
	bool room = lobby_has_room(&w->commons->lobby, loop_now_ms(w->loop), &evicted);

	note(w, TALLY_CROWDED, evicted);
	note(w, TALLY_FULL, !room);
	return room;
}

/* A listener's `arg` is the worker; which one it is follows from the array. */
static void accept_from(struct worker *w, struct door_listener *listener)
{
	for (int i = 0; i < (listener->shared ? ACCEPTS_SHARED : ACCEPTS_A_TURN); i++) {
		struct sockaddr_storage sa = {0};
		socklen_t len = sizeof(sa);
		int fd;

		if (!has_room(w)) { /* the others wait in the kernel */
			pause_accepting(w);
			return;
		}
		fd = accept4(listener->fd.fd, (struct sockaddr *)&sa, &len,
			     SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0 && (errno == EMFILE || errno == ENFILE)) {
			for (int k = 0; k < ACCEPTS_A_TURN && turn_away(w, &listener->fd); k++)
				note(w, TALLY_DESCRIPTORS, 1);
			pause_accepting(w);
			return;
		}
		if (fd < 0 && (errno == ENOBUFS || errno == ENOMEM)) {
			pause_accepting(w);
			return;
		}
		if (fd < 0) /* EAGAIN, or a client that has gone already */
			return;
		caller_come(w, fd, &sa, len);
	}
}

static void on_accept(void *arg, uint32_t events)
{
	struct worker *w = arg;
	struct door *d = &w->door;

	(void)events;
	for (size_t i = 0; i < d->n_listeners && !d->paused; i++) {
		if (d->listeners[i].watched)
			accept_from(w, &d->listeners[i]);
		if (d->listeners[i].shared && crowded(w))
			unwatch(w, &d->listeners[i]);
	}
	http_settle(w);
}

/* Sockets of one address that each worker has its own of say so. */
static bool is_shared(int fd)
{
	int on = 0;
	socklen_t len = sizeof(on);

	return getsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, &len) || !on;
}

bool door_open(struct worker *w, const int *fds, size_t n_fds)
{
	struct door *d = &w->door;

	list_init(&d->reading);
	list_init(&d->refused);
	d->again = (struct loop_timer){.fire = on_again, .arg = w};
	d->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	d->listeners = xcalloc(n_fds, sizeof(*d->listeners));
	for (; d->n_listeners < n_fds; d->n_listeners++) {
		struct door_listener *l = &d->listeners[d->n_listeners];
		int fd = fds[d->n_listeners];

		*l = (struct door_listener){.fd = {.fd = fd, .ready = on_accept, .arg = w},
					    .shared = is_shared(fd)};
		if (!watch(w, l))
			return false;
	}
	return true;
}

static struct caller *first(struct list *callers)
{
	return list_empty(callers) ? NULL : LIST_ENTRY(callers->next, struct caller, node);
}

void door_tick(struct worker *w, uint64_t now_ms)
{
	struct door *d = &w->door;
	struct caller *c;

	while ((c = first(&d->reading)) && c->deadline_ms <= now_ms)
		caller_expire(c);
	while ((c = first(&d->refused)) && c->deadline_ms <= now_ms)
		caller_expire(c);
	note(w, TALLY_ADDRESS, lobby_trim(&w->commons->lobby, now_ms));
	tally_tick(&w->commons->tally, now_ms);
	for (size_t i = 0; i < d->n_listeners && !d->paused; i++)
		if (!d->listeners[i].watched && !crowded(w))
			(void)watch(w, &d->listeners[i]); /* or in the next second */
}

void door_quiesce(struct worker *w)
{
	struct door *d = &w->door;
	struct caller *c;

	loop_timer_clear(w->loop, &d->again);
	for (size_t i = 0; i < d->n_listeners; i++) {
		unwatch(w, &d->listeners[i]);
		close(d->listeners[i].fd.fd);
	}
	d->n_listeners = 0;
	while ((c = first(&d->reading)))
		caller_hang_up(c);
}

void door_close(struct worker *w)
{
	struct door *d = &w->door;
	struct caller *c;

	door_quiesce(w);
	while ((c = first(&d->refused)))
		caller_hang_up(c);
	if (d->spare_fd >= 0)
		close(d->spare_fd);
	free(d->listeners);
	d->listeners = NULL;
}
