/* SPDX-License-Identifier: PostgreSQL
 * The places that a stream takes of those that its route has: in all, and for an address. */
#ifndef PGHERALD_WEB_SEAT_H
#define PGHERALD_WEB_SEAT_H

#include <stdint.h>

#include "base/address.h"
#include "base/mem.h"

struct conf_route;
struct registry;

struct seat {
	struct address from;	   /* the client, for limits and failures */
	bool of_route, of_address; /* counted there: a reload may limit what was not limited */
};

enum seat_verdict { SEAT_OK, SEAT_ROUTE_FULL, SEAT_ADDRESS_FULL };

/* Takes both, or none. Nothing happens to one that has been taken. */
enum seat_verdict seat_take(struct seat *s, struct registry *r, const struct conf_route *route,
			    const struct address *from) MUST_CHECK;
/* Gives back what was taken. */
void seat_leave(struct seat *s, struct registry *r, const struct conf_route *route);

#endif
