/* SPDX-License-Identifier: PostgreSQL
 * See door.h. */
#include "config.h"
#include "web/door.h"

#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "web/worker.h"

#define ACCEPTS_A_TURN	64
#define ACCEPT_AGAIN_MS 20

/* Descriptors have run out: give up the spare one, take the client, say so, hang up. Otherwise
 * the listening socket would stay readable and the loop would spin. False when nobody waits. */
static bool turn_away(struct worker *w, struct loop_fd *listener)
{
	static const char text[] = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\n"
				   "Content-Type: application/json\r\nConnection: close\r\n\r\n"
				   "{\"detail\": \"No connections left; try again.\"}\n";
	struct door *d = &w->door;
	char scrap[4096];
	int fd;

	close(d->spare_fd);
	fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd >= 0) {
		(void)!send(fd, text, sizeof(text) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
		shutdown(fd, SHUT_WR);
		/* Unread bytes would turn the close into a reset that can overtake the answer. */
		(void)!recv(fd, scrap, sizeof(scrap), MSG_DONTWAIT);
		close(fd);
	}
	d->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return fd >= 0;
}

/* Of workers that have the same Unix socket, a client wakes one. */
static bool watch(struct worker *w, struct loop_fd *listener)
{
	return loop_add(w->loop, listener, EPOLLIN | EPOLLEXCLUSIVE);
}

static void pause_accepting(struct worker *w)
{
	struct door *d = &w->door;

	if (d->paused)
		return;
	d->paused = true;
	for (size_t i = 0; i < d->n_listeners; i++)
		loop_del(w->loop, &d->listeners[i]); /* what is exclusive cannot be changed */
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
			loop_del(w->loop, &d->listeners[i]);
		d->paused = true;
		loop_timer_set(w->loop, &d->again, ACCEPT_AGAIN_MS);
		return;
	}
}

/* A listener's `arg` is the worker; which one it is follows from the array. */
static void accept_from(struct worker *w, struct loop_fd *listener)
{
	static const int on = 1;

	for (int i = 0; i < ACCEPTS_A_TURN; i++) {
		const union MHD_DaemonInfo *info =
			MHD_get_daemon_info(w->http.mhd, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);
		struct sockaddr_storage sa;
		socklen_t len = sizeof(sa);
		int fd;

		if (info && info->num_connections >= HTTP_MAX_UNDER_WAY) {
			pause_accepting(w);
			return;
		}
		fd = accept4(listener->fd, (struct sockaddr *)&sa, &len,
			     SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0 && (errno == EMFILE || errno == ENFILE)) {
			log_warn("no descriptor left for a client (%zu streams): answered 503",
				 registry_streams(w->registry));
			for (int k = 0; k < ACCEPTS_A_TURN && turn_away(w, listener);)
				k++;
			pause_accepting(w);
			return;
		}
		if (fd < 0 && (errno == ENOBUFS || errno == ENOMEM)) {
			pause_accepting(w);
			return;
		}
		if (fd < 0) /* EAGAIN, or a client that has gone already */
			return;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
		if (MHD_add_connection(w->http.mhd, fd, (struct sockaddr *)&sa, len) != MHD_YES)
			log_debug("http: a connection was refused by libmicrohttpd");
		w->http.run_wanted = true;
	}
}

static void on_accept(void *arg, uint32_t events)
{
	struct worker *w = arg;
	struct door *d = &w->door;

	(void)events;
	for (size_t i = 0; i < d->n_listeners && !d->paused; i++)
		accept_from(w, &d->listeners[i]);
	http_settle(w);
}

bool door_open(struct worker *w, const int *fds, size_t n_fds)
{
	struct door *d = &w->door;

	d->again = (struct loop_timer){.fire = on_again, .arg = w};
	d->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	d->listeners = xcalloc(n_fds, sizeof(*d->listeners));
	for (; d->n_listeners < n_fds; d->n_listeners++) {
		struct loop_fd *l = &d->listeners[d->n_listeners];

		*l = (struct loop_fd){.fd = fds[d->n_listeners], .ready = on_accept, .arg = w};
		if (!watch(w, l))
			return false;
	}
	return true;
}

void door_quiesce(struct worker *w)
{
	struct door *d = &w->door;

	loop_timer_clear(w->loop, &d->again);
	for (size_t i = 0; i < d->n_listeners; i++) {
		loop_del(w->loop, &d->listeners[i]);
		close(d->listeners[i].fd);
	}
	d->n_listeners = 0;
}

void door_close(struct worker *w)
{
	struct door *d = &w->door;

	door_quiesce(w);
	if (d->spare_fd >= 0)
		close(d->spare_fd);
	free(d->listeners);
	d->listeners = NULL;
}
