/* SPDX-License-Identifier: PostgreSQL
 * See seat.h. */
#include "config.h"
#include "web/seat.h"

#include <stdlib.h>

#include "conf.h"
#include "hub/registry.h"

/* The name of an address' place; no route's name has a space. */
static char *at(const struct conf_route *route, const struct address *from)
{
	char text[ADDRESS_TEXT_MAX];

	address_text(from, text);
	return xasprintf("%s %s", route->name, text);
}

enum seat_verdict seat_take(struct seat *s, struct registry *r, const struct conf_route *route,
			    const struct address *from)
{
	autofree char *place = NULL;

	s->from = address_block(from);
	if (s->of_route || s->of_address)
		return SEAT_OK;
	if (route->max_streams) {
		if (!registry_sit(r, route->name, route->max_streams))
			return SEAT_ROUTE_FULL;
		s->of_route = true;
	}
	if (!route->max_streams_per_address)
		return SEAT_OK;
	place = at(route, &s->from);
	s->of_address = registry_sit(r, place, route->max_streams_per_address);
	if (s->of_address)
		return SEAT_OK;
	seat_leave(s, r, route);
	return SEAT_ADDRESS_FULL;
}

void seat_leave(struct seat *s, struct registry *r, const struct conf_route *route)
{
	if (s->of_route)
		registry_rise(r, route->name);
	if (s->of_address) {
		autofree char *place = at(route, &s->from);

		registry_rise(r, place);
	}
	s->of_route = s->of_address = false;
}
