/* SPDX-License-Identifier: PostgreSQL
 * See parting.h. */
#include "config.h"
#include "web/parting.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/list.h"
#include "base/loop.h"
#include "base/mem.h"
#include "web/worker.h"

#define PARTING_MS    2000	  /* a round trip, and some more */
#define PARTING_BYTES (64 * 1024) /* that are read away */
#define PARTINGS_MAX  1000	  /* of a worker that does not stop; each holds a descriptor */

struct parting {
	struct list node;
	struct worker *worker;
	struct loop_fd fd;
	uint64_t until_ms;
	size_t n_bytes;
};

static void end(struct parting *p)
{
	struct worker *w = p->worker;

	loop_del(w->loop, &p->fd);
	close(p->fd.fd);
	list_remove(&p->node);
	free(p);
	w->n_partings--;
	worker_check_drained(w);
}

static void on_ready(void *arg, uint32_t events)
{
	struct parting *p = arg;
	char scrap[4096];
	ssize_t n;

	(void)events;
	while ((n = recv(p->fd.fd, scrap, sizeof(scrap), MSG_DONTWAIT)) > 0)
		if ((p->n_bytes += (size_t)n) > PARTING_BYTES)
			break;
	if (n >= 0 || (errno != EAGAIN && errno != EINTR))
		end(p);
}

void parting_take(struct worker *w, int fd)
{
	struct parting *p;

	shutdown(fd, SHUT_WR); /* the server goes first */
	if (w->n_partings >= PARTINGS_MAX && !w->draining) {
		close(fd);
		return;
	}
	p = xcalloc(1, sizeof(*p));
	p->worker = w;
	p->fd = (struct loop_fd){.fd = fd, .ready = on_ready, .arg = p};
	p->until_ms = loop_now_ms(w->loop) + PARTING_MS;
	list_push(&w->partings, &p->node);
	w->n_partings++;
	/* Edge-triggered: what has come already wakes us, too. */
	if (!loop_add(w->loop, &p->fd, EPOLLIN | EPOLLRDHUP | EPOLLET))
		end(p);
}

void partings_tick(struct worker *w, uint64_t now_ms)
{
	LIST_EACH (&w->partings, node, tmp) {
		struct parting *p = LIST_ENTRY(node, struct parting, node);

		if (now_ms >= p->until_ms)
			end(p);
	}
}

void partings_end(struct worker *w)
{
	LIST_EACH (&w->partings, node, tmp)
		end(LIST_ENTRY(node, struct parting, node));
}
