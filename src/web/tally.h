/* SPDX-License-Identifier: PostgreSQL
 * Clients that are turned away, counted by the reason, over all workers. One line of the log when
 * it begins and one when it has ended, with the number: never one for each, which the clients could
 * make as many of as they like. */
#ifndef PGHERALD_WEB_TALLY_H
#define PGHERALD_WEB_TALLY_H

#include <pthread.h>
#include <stdint.h>

#define TALLY_QUIET_MS 5000 /* after the last one it has ended */

enum tally_reason {
	TALLY_SLOW,	   /* a request was not complete in its time */
	TALLY_CROWDED,	   /* ... when its place was needed */
	TALLY_ADDRESS,	   /* too many of one address have no verdict yet */
	TALLY_FAILURES,	   /* too many unknown credentials of one address */
	TALLY_FULL,	   /* every place is taken: clients wait in the kernel */
	TALLY_DESCRIPTORS, /* none is left */
	TALLY_HEADS,	   /* what HTTP does not allow */
	TALLY_STREAMS,	   /* max_streams are open */
	TALLY_DATABASE,	   /* it cannot be asked */
	TALLY_AUTHORIZE,   /* the function of a route cannot be asked */
	TALLY_NAMELESS,	   /* nobody is turned away: a listed proxy does not say for whom it asks */
	TALLY_USER,	   /* max_streams_per_user are open */
	TALLY_FROM,	   /* an address is not in its route's allow_ips */
	TALLY_ROUTE,	   /* a route has its max_streams */
	TALLY_HOME,	   /* an address has max_streams_per_address of a route */
	TALLY_ADDRESS_OPENS,	  /* an address has opened opens_per_address within a minute */
	TALLY_USER_OPENS,	  /* a user opens_per_user */
	TALLY_USER_PUBLISHES,	  /* a user has published publishes_per_user within a minute */
	TALLY_ADDRESS_PUBLISHES,  /* an address publishes_per_address */
	TALLY_CHANNEL_PUBLISHES,  /* to a channel has been published publishes_per_channel */
	TALLY_ROUTE_PUBLISHES,	  /* at a route publishes */
	TALLY_USER_SUBSCRIBES,	  /* a user has changed what he hears subscribes_per_user */
	TALLY_ROUTE_SUBSCRIBES,	  /* at a route has been changed subscribes times what is heard */
	TALLY_ADDRESS_SUBSCRIBES, /* from an address subscribes_per_address times */
	TALLY_CHANNEL_SUBSCRIBES, /* to hear a channel subscribes_per_channel times */
	TALLY_ROUTE_OPENS,	  /* at a route opens_in_all have been opened within a minute */
	TALLY_CHANNEL_OPENS,	  /* that hear a channel opens_per_channel */
	TALLY_CHANNEL,		  /* a channel has max_streams_per_channel of a route */
	TALLY_TICKETS,		  /* max_tickets have been given that nobody has come for */
	TALLY_USER_TICKETS,	  /* to a user max_tickets_per_user */
	TALLY_ADDRESS_TICKETS,	  /* to an address max_tickets_per_address */
	TALLY_MEMORY,		  /* clients take client_memory: no further one */
	TALLY_BODIES,		  /* bodies have no room */
	TALLY_MEMORY_SLOW,	  /* ... and who takes most is let go */
	N_TALLIES
};

struct tally_item {
	uint64_t total;		       /* since the start */
	uint64_t n, began_ms, last_ms; /* of the spell that lasts; n = 0 without one */
};

struct tally {
	pthread_mutex_t lock;
	struct tally_item items[N_TALLIES];
};

void tally_init(struct tally *t);
void tally_free(struct tally *t);
/* Counts one. `peer` and `what` go into the line of the first one, when they are not NULL. `now_ms`
 * is the loop's clock. From every worker. */
void tally_note(struct tally *t, enum tally_reason reason, uint64_t now_ms, const char *peer,
		const char *what);
/* What a client that is turned away is told as the reason's code; NULL for what turns nobody away.
 */
const char *tally_name(enum tally_reason reason);
/* How many there have been since the start. */
uint64_t tally_total(struct tally *t, enum tally_reason reason);
/* Each second or so: says what has ended. */
void tally_tick(struct tally *t, uint64_t now_ms);

#endif
