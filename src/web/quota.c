/* SPDX-License-Identifier: PostgreSQL
 * See quota.h. */
#include "config.h"
#include "web/quota.h"

#include <microhttpd.h>

#include "conf.h"
#include "hub/subscription.h"
#include "web/commons.h"
#include "web/pace.h"

/* `kind` keeps the buckets of opening, publishing and subscribing apart. */
static bool take(const struct quota_asker *a, const char *kind, const char *who, uint64_t max,
		 uint64_t *ret_wait_ms)
{
	autofree char *text = max ? xasprintf("%s %s", kind, who) : NULL;

	return !max ||
	       pace_take(a->commons->pace, a->route->name, text, max, a->now_ms, ret_wait_ms);
}

static bool take_address(const struct quota_asker *a, const char *kind, uint64_t max,
			 uint64_t *ret_wait_ms)
{
	struct address block = address_block(a->from);
	char text[ADDRESS_TEXT_MAX];

	address_text(&block, text);
	return take(a, kind, text, max, ret_wait_ms);
}

enum tally_reason quota_come(const struct quota_asker *a, uint64_t *ret_wait_ms)
{
	return take_address(a, "open from", a->route->opens_per_address, ret_wait_ms)
		       ? N_TALLIES
		       : TALLY_ADDRESS_OPENS;
}

/* Who is refused by his own limit takes nothing from what he shares with others. */
enum tally_reason quota_open(const struct quota_asker *a, const struct keys *channels,
			     uint64_t *ret_wait_ms)
{
	const struct conf_route *r = a->route;

	if (!take(a, "open user", a->user_id, r->opens_per_user, ret_wait_ms))
		return TALLY_USER_OPENS;
	for (size_t i = 0; r->opens_per_channel && channels && i < channels->n; i++)
		if (!take(a, "open to", channels->list[i], r->opens_per_channel, ret_wait_ms))
			return TALLY_CHANNEL_OPENS;
	if (!take(a, "open", "", r->opens_in_all, ret_wait_ms))
		return TALLY_ROUTE_OPENS;
	return N_TALLIES;
}

/* As quota_open(). */
enum tally_reason quota_publish(const struct quota_asker *a, uint64_t *ret_wait_ms)
{
	const struct conf_route *r = a->route;

	if (!take(a, "publish user", a->user_id, r->publishes_per_user, ret_wait_ms))
		return TALLY_USER_PUBLISHES;
	if (!take_address(a, "publish from", r->publishes_per_address, ret_wait_ms))
		return TALLY_ADDRESS_PUBLISHES;
	if (!take(a, "publish", "", r->publishes, ret_wait_ms))
		return TALLY_ROUTE_PUBLISHES;
	return N_TALLIES;
}

enum tally_reason quota_publish_to(const struct quota_asker *a, const char *to,
				   uint64_t *ret_wait_ms)
{
	return take(a, "publish to", to, a->route->publishes_per_channel, ret_wait_ms)
		       ? N_TALLIES
		       : TALLY_CHANNEL_PUBLISHES;
}

enum tally_reason quota_subscribe(const struct quota_asker *a, uint64_t *ret_wait_ms)
{
	const struct conf_route *r = a->route;

	if (!take(a, "subscribe user", a->user_id, r->subscribes_per_user, ret_wait_ms))
		return TALLY_USER_SUBSCRIBES;
	if (!take_address(a, "subscribe from", r->subscribes_per_address, ret_wait_ms))
		return TALLY_ADDRESS_SUBSCRIBES;
	if (!take(a, "subscribe", "", r->subscribes, ret_wait_ms))
		return TALLY_ROUTE_SUBSCRIBES;
	return N_TALLIES;
}

enum tally_reason quota_subscribe_to(const struct quota_asker *a,
				     const struct subscription *channels, uint64_t *ret_wait_ms)
{
	for (size_t i = 0; i < channels->n; i++)
		if (!take(a, "subscribe to", channels->names[i], a->route->subscribes_per_channel,
			  ret_wait_ms))
			return TALLY_CHANNEL_SUBSCRIBES;
	return N_TALLIES;
}

const char *quota_why(enum tally_reason reason)
{
	switch (reason) {
	case TALLY_ADDRESS_OPENS:
		return "Your address opens streams too often.";
	case TALLY_USER_OPENS:
		return "You open streams too often.";
	case TALLY_CHANNEL_OPENS:
		return "Too many streams are being opened for this channel.";
	case TALLY_ROUTE_OPENS:
		return "Too many streams are being opened here.";
	case TALLY_ADDRESS_SUBSCRIBES:
		return "Your address changes what is heard too often.";
	case TALLY_CHANNEL_SUBSCRIBES:
		return "This channel is being subscribed to too often.";
	case TALLY_ROUTE_SUBSCRIBES:
		return "What is heard is being changed too often here.";
	case TALLY_USER_PUBLISHES:
		return "You publish too often.";
	case TALLY_ADDRESS_PUBLISHES:
		return "Your address publishes too often.";
	case TALLY_CHANNEL_PUBLISHES:
		return "Too much is being published to this channel.";
	case TALLY_USER_SUBSCRIBES:
		return "You change what you hear too often.";
	default:
		return "Too much is being published here.";
	}
}

/* What others have filled is no fault of who comes. */
unsigned quota_status(enum tally_reason reason)
{
	return reason == TALLY_ROUTE_OPENS || reason == TALLY_CHANNEL_OPENS
		       ? MHD_HTTP_SERVICE_UNAVAILABLE
		       : MHD_HTTP_TOO_MANY_REQUESTS;
}

void quota_note(const struct quota_asker *a, enum tally_reason reason, const char *peer)
{
	tally_note(&a->commons->tally, reason, a->now_ms, peer, NULL);
}
