/* SPDX-License-Identifier: PostgreSQL
 * Who has come in and has no verdict yet, over all workers: how many there may be in all and of one
 * address, and who leaves when a place is needed. A client sends its request in one piece or two;
 * whoever has waited longest without a whole one is the least likely to be in earnest. Nobody goes
 * in his first moments. */
#ifndef PGHERALD_WEB_LOBBY_H
#define PGHERALD_WEB_LOBBY_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/list.h"
#include "base/mem.h"

#define LOBBY_GRACE_MS 200 /* a request comes right behind the handshake */

struct lobby_address; /* the guests of one address, as long as there are any */

/* Lies inside what comes in; belongs to the worker whose it is. */
struct guest {
	struct list all, mates; /* while its request is not complete: of all, of its address */
	struct lobby_address *waiting, *asking; /* where it is counted; NULL: nowhere */
	uint64_t since_ms;
	int fd;
	bool evicted; /* its socket was shut down: its worker lets it go */
};

struct lobby {
	pthread_mutex_t lock;
	uint64_t max, max_per_address; /* 0 = none */
	size_t n;
	struct list waiting;		 /* guests by `all`, the oldest first */
	struct lobby_address *addresses; /* a hash */
};

void lobby_init(struct lobby *l);
void lobby_free(struct lobby *l);
/* How many in all and of one address; lowering them shows nobody the door. */
void lobby_limit(struct lobby *l, uint64_t max, uint64_t max_per_address);
/* Whether somebody may come in, before each accept(2); makes room if that can be. `ret_evicted` is
 * how many were shown the door for that: their sockets are shut down. */
bool lobby_has_room(struct lobby *l, uint64_t now_ms, unsigned *ret_evicted) MUST_CHECK;
/* A guest comes in, from that address (none: not counted by address). How many had to leave. */
unsigned lobby_enter(struct lobby *l, struct guest *g, int fd, const struct address *address,
		     uint64_t now_ms);
/* Each second: shows the door to those that one address has too many of. How many that were. */
unsigned lobby_trim(struct lobby *l, uint64_t now_ms);
/* Its request is complete: it cannot be shown the door any more. False when it has been already. */
bool lobby_complete(struct lobby *l, struct guest *g) MUST_CHECK;
/* It asks for a verdict, as a client of that address, which its proxy has told; none: not counted.
 * False when that address has enough of them. */
bool lobby_ask(struct lobby *l, struct guest *g, const struct address *address) MUST_CHECK;
/* The verdict is in. */
void lobby_answered(struct lobby *l, struct guest *g);
/* It has gone, or is a stream; before its descriptor is closed. */
void lobby_leave(struct lobby *l, struct guest *g);

#endif
