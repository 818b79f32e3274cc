/* SPDX-License-Identifier: PostgreSQL
 * Where clients come in: a worker's listening sockets. Accepting is ours, so that having no place
 * and no descriptor has an answer; who is accepted is a caller (caller.h). */
#ifndef PGHERALD_WEB_DOOR_H
#define PGHERALD_WEB_DOOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/loop.h"
#include "base/mem.h"

struct caller;
struct worker;

struct door_listener {
	struct loop_fd fd;
	bool shared;  /* all workers have this very socket */
	bool watched; /* clients wake this worker */
};

struct door {
	struct door_listener *listeners;
	size_t n_listeners;
	struct loop_timer again; /* set while accepting is paused */
	bool paused;
	int spare_fd;		      /* given up to answer one client when descriptors run out */
	struct list reading, refused; /* struct caller, in order of their deadlines */
	struct caller *entering;      /* is just being given to libmicrohttpd */
};

/* Accepts on these sockets, which are the door's from here on. */
bool door_open(struct worker *w, const int *fds, size_t n_fds) MUST_CHECK;
/* Every second: ends what was not complete in its time, and goes back to shared sockets when it has
 * no more streams than its share. */
void door_tick(struct worker *w, uint64_t now_ms);
/* Accepts no more, and lets those go whose request is not complete; the others go on. */
void door_quiesce(struct worker *w);
void door_close(struct worker *w);

#endif
