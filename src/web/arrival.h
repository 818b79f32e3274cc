/* SPDX-License-Identifier: PostgreSQL
 * Streams of the process before that systemd has kept and passed to this one. Each waits until the
 * journal has been read up to now and its token has been looked up; then it goes on from its
 * position like one that comes back, on the connection that it had. Whose luggage cannot be read
 * gets the farewell that a stop gives. */
#ifndef PGHERALD_WEB_ARRIVAL_H
#define PGHERALD_WEB_ARRIVAL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/sd.h"

struct departure;
struct worker;

/* Whether it is one of ours and no listening socket. */
bool arrival_is(const struct sd_fd *passed);
/* Takes those that are ours, out of the store too, and spreads them over the workers, whose threads
 * do not run yet. */
void arrivals_take(const struct sd_fd *passed, size_t n, struct worker **workers, size_t n_workers);
/* The journal has been read up to now: their tokens are looked up. */
void arrivals_go(struct worker *w);
/* Every second: nobody waits for ever. */
void arrivals_tick(struct worker *w);
/* Those that still wait go to the next process by way of `d`. */
void arrivals_leave(struct worker *w, struct departure *d);
/* A farewell to all that still wait. */
void arrivals_refuse(struct worker *w);

#endif
