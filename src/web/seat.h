/* SPDX-License-Identifier: PostgreSQL
 * The places that a stream takes of those that its route has: in all, for an address, and for who
 * hears a channel. */
#ifndef PGHERALD_WEB_SEAT_H
#define PGHERALD_WEB_SEAT_H

#include <stdint.h>

#include "base/address.h"
#include "base/mem.h"

struct conf_route;
struct keys;
struct registry;

struct seat {
	struct address from;	   /* the client, for limits and failures */
	bool of_route, of_address; /* counted there: a reload may limit what was not limited */
	struct keys *channels;	   /* and in each of these; or NULL. Owned */
};

enum seat_verdict { SEAT_OK, SEAT_ROUTE_FULL, SEAT_ADDRESS_FULL, SEAT_CHANNEL_FULL };

/* Takes all, or none. Nothing happens to one that has been taken. `channels` may be NULL. */
enum seat_verdict seat_take(struct seat *s, struct registry *r, const struct conf_route *route,
			    const struct address *from, const struct keys *channels) MUST_CHECK;
/* Takes them again for a stream that had them before, also when they are fewer by now; `from` may
 * be NULL, which is counted as no address. */
void seat_keep(struct seat *s, struct registry *r, const struct conf_route *route,
	       const struct address *from, const struct keys *channels);
/* Gives back what was taken. */
void seat_leave(struct seat *s, struct registry *r, const struct conf_route *route);
/* In each of these channels, or NULL, where the route limits them: in all, or, false, in none,
 * since one is full. Without `limited` none is. */
bool seat_join(struct registry *r, const struct conf_route *route, const struct keys *channels,
	       bool limited) MUST_CHECK;
void seat_part(struct registry *r, const struct conf_route *route, const struct keys *channels);

#endif
