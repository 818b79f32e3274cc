/* SPDX-License-Identifier: PostgreSQL
 * Where clients come in: a worker's listening sockets. Accepting is ours, so that running out of
 * descriptors has an answer; what is accepted goes to libmicrohttpd. */
#ifndef PGHERALD_WEB_DOOR_H
#define PGHERALD_WEB_DOOR_H

#include <stdbool.h>
#include <stddef.h>

#include "base/loop.h"
#include "base/mem.h"

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
	int spare_fd; /* given up to answer one client when descriptors run out */
};

/* Accepts on these sockets, which are the door's from here on. */
bool door_open(struct worker *w, const int *fds, size_t n_fds) MUST_CHECK;
/* Every second: goes back to shared sockets when it has no more streams than its share. */
void door_tick(struct worker *w);
/* Accepts no more; requests under way go on. */
void door_quiesce(struct worker *w);
void door_close(struct worker *w);

#endif
