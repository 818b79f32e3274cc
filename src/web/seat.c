/* SPDX-License-Identifier: PostgreSQL
 * See seat.h. */
#include "config.h"
#include "web/seat.h"

#include <stdlib.h>

#include "conf.h"
#include "hub/registry.h"
#include "hub/scope.h"

/* The name of an address' place; no route's name has a space. */
static char *at(const struct conf_route *route, const struct address *from)
{
	char text[ADDRESS_TEXT_MAX];

	address_text(from, text);
	return xasprintf("%s %s", route->name, text);
}

/* The same of a channel: no address begins with '#'. */
static char *in(const struct conf_route *route, const char *channel)
{
	return xasprintf("%s %s", route->name, channel);
}

static void part(struct registry *r, const struct conf_route *route, const struct keys *channels,
		 size_t n)
{
	for (size_t i = 0; i < n; i++) {
		autofree char *place = in(route, channels->list[i]);

		registry_rise(r, place);
	}
}

bool seat_join(struct registry *r, const struct conf_route *route, const struct keys *channels,
	       bool limited)
{
	uint64_t max = limited ? route->max_streams_per_channel : UINT64_MAX;

	for (size_t i = 0; route->max_streams_per_channel && channels && i < channels->n; i++) {
		autofree char *place = in(route, channels->list[i]);

		if (!registry_sit(r, place, max)) {
			part(r, route, channels, i);
			return false;
		}
	}
	return true;
}

void seat_part(struct registry *r, const struct conf_route *route, const struct keys *channels)
{
	if (channels && route->max_streams_per_channel)
		part(r, route, channels, channels->n);
}

enum seat_verdict seat_take(struct seat *s, struct registry *r, const struct conf_route *route,
			    const struct address *from, const struct keys *channels)
{
	autofree char *place = NULL;

	s->from = address_block(from);
	if (s->of_route || s->of_address || s->channels)
		return SEAT_OK;
	if (route->max_streams) {
		if (!registry_sit(r, route->name, route->max_streams))
			return SEAT_ROUTE_FULL;
		s->of_route = true;
	}
	if (route->max_streams_per_address) {
		place = at(route, &s->from);
		s->of_address = registry_sit(r, place, route->max_streams_per_address);
		if (!s->of_address) {
			seat_leave(s, r, route);
			return SEAT_ADDRESS_FULL;
		}
	}
	if (!route->max_streams_per_channel)
		return SEAT_OK;
	if (!seat_join(r, route, channels, true)) {
		seat_leave(s, r, route);
		return SEAT_CHANNEL_FULL;
	}
	s->channels = keys_copy(channels);
	return SEAT_OK;
}

void seat_keep(struct seat *s, struct registry *r, const struct conf_route *route,
	       const struct address *from, const struct keys *channels)
{
	*s = (struct seat){.from = from ? address_block(from) : (struct address){{0}}};
	s->of_route = route->max_streams && registry_sit(r, route->name, UINT64_MAX);
	if (from && route->max_streams_per_address) {
		autofree char *place = at(route, &s->from);

		s->of_address = registry_sit(r, place, UINT64_MAX);
	}
	if (route->max_streams_per_channel && seat_join(r, route, channels, false))
		s->channels = keys_copy(channels);
}

void seat_leave(struct seat *s, struct registry *r, const struct conf_route *route)
{
	if (s->of_route)
		registry_rise(r, route->name);
	if (s->of_address) {
		autofree char *place = at(route, &s->from);

		registry_rise(r, place);
	}
	seat_part(r, route, s->channels);
	free(s->channels);
	s->channels = NULL;
	s->of_route = s->of_address = false;
}
