/* SPDX-License-Identifier: PostgreSQL
 * When clients take more memory than client_memory, those for whom most waits are let go, one after
 * the other, until there is room again: they come back with their position. Who has nothing to wait
 * for is never let go. */
#ifndef PGHERALD_WEB_SHED_H
#define PGHERALD_WEB_SHED_H

struct worker;

/* Lets go of this worker's slowest, as long as no other worker has one for whom more waits. Closes
 * streams: for the end of a turn. */
void shed_slowest(struct worker *w);
/* The same at the end of this turn, if too much is taken. */
void shed_soon(struct worker *w);
/* Each second: tells the other workers how much waits for the slowest of this one. */
void shed_tick(struct worker *w);

#endif
