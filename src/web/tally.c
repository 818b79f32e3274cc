/* SPDX-License-Identifier: PostgreSQL
 * See tally.h. */
#include "config.h"
#include "web/tally.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/log.h"

static const struct {
	const char *begins, *ended, *name;
} words[N_TALLIES] = {
	[TALLY_SLOW] = {"requests are ended that are not complete within request_timeout",
			"requests are complete in time again", "request_timeout"},
	[TALLY_CROWDED] =
		{"the places for requests are taken: new clients get those of clients whose "
		 "request is not complete",
		 "there are places for requests again", "crowded"},
	[TALLY_ADDRESS] = {"one address has max_requests_per_address requests without an answer: "
			   "further ones are turned away; a proxy belongs into trusted_proxies",
			   "no address has too many requests any more", "max_requests_per_address"},
	[TALLY_FAILURES] = {"one address has tried auth_failures unknown credentials within "
			    "auth_failures_window: further unknown ones are told to come back",
			    "no address tries too many unknown credentials any more",
			    "auth_failures"},
	[TALLY_FULL] = {"every place for requests is taken (max_requests): new clients wait",
			"new clients do not wait any more", "max_requests"},
	[TALLY_DESCRIPTORS] = {"no descriptor left for a client: answered 503",
			       "there are descriptors again", "descriptors"},
	[TALLY_HEADS] = {"requests are refused that HTTP does not allow",
			 "no more requests that HTTP does not allow", "bad_request"},
	[TALLY_STREAMS] = {"max_streams are open: further clients are told to come back",
			   "fewer than max_streams are open again", "server_max_streams"},
	[TALLY_DATABASE] = {"clients are told to come back: the database is not available",
			    "clients do not wait for the database any more", "database"},
	[TALLY_AUTHORIZE] = {"clients are told to come back: the function of a route (authorize) "
			     "cannot be asked",
			     "the functions of routes can be asked again", "authorize"},
	[TALLY_NAMELESS] =
		{"a proxy of trusted_proxies does not say for whom it asks, in the header that "
		 "client_address names: all its clients are taken for one",
		 "no proxy asks any more without saying for whom", NULL},
	[TALLY_USER] = {"a user has max_streams_per_user open: further ones are told to come back",
			"no user asks for more than max_streams_per_user any more",
			"max_streams_per_user"},
	[TALLY_FROM] = {"clients of addresses that are not in allow_ips are refused",
			"no more clients of addresses that are not in allow_ips", "allow_ips"},
	[TALLY_ROUTE] = {"a route has its max_streams: further clients are told to come back",
			 "no route has its max_streams any more", "max_streams"},
	[TALLY_HOME] =
		{"an address has max_streams_per_address of a route: further ones are told to "
		 "come back",
		 "no address asks for more than max_streams_per_address any more",
		 "max_streams_per_address"},
	[TALLY_ADDRESS_OPENS] = {"an address has opened opens_per_address streams within a minute: "
				 "further ones are told to come back",
				 "no address opens more than opens_per_address any more",
				 "opens_per_address"},
	[TALLY_USER_OPENS] =
		{"a user has opened opens_per_user streams within a minute: further ones "
		 "are told to come back",
		 "no user opens more than opens_per_user any more", "opens_per_user"},
	[TALLY_USER_PUBLISHES] =
		{"a user has published publishes_per_user messages within a minute: "
		 "further ones are refused",
		 "no user publishes more than publishes_per_user any more", "publishes_per_user"},
	[TALLY_ADDRESS_PUBLISHES] =
		{"an address has published publishes_per_address messages "
		 "within a minute: further ones are refused",
		 "no address publishes more than publishes_per_address any more",
		 "publishes_per_address"},
	[TALLY_CHANNEL_PUBLISHES] = {"to a channel publishes_per_channel messages have been "
				     "published within a minute: further ones are refused",
				     "to no channel is published more than publishes_per_channel "
				     "any more",
				     "publishes_per_channel"},
	[TALLY_ROUTE_PUBLISHES] = {"at a route its publishes have been published within a minute: "
				   "further ones are refused",
				   "at no route is published more than its publishes any more",
				   "publishes"},
	[TALLY_USER_SUBSCRIBES] =
		{"a user has changed subscribes_per_user times within a minute "
		 "what he hears: further changes are refused",
		 "no user changes what he hears more than subscribes_per_user any "
		 "more",
		 "subscribes_per_user"},
	[TALLY_ROUTE_SUBSCRIBES] =
		{"at a route what is heard has been changed subscribes times within a minute: "
		 "further changes are refused",
		 "at no route is changed what is heard more than subscribes any more",
		 "subscribes"},
	[TALLY_ADDRESS_SUBSCRIBES] =
		{"an address has changed subscribes_per_address times within a minute what is "
		 "heard: further changes are refused",
		 "no address changes what is heard more than subscribes_per_address any more",
		 "subscribes_per_address"},
	[TALLY_CHANNEL_SUBSCRIBES] =
		{"a channel has been subscribed to subscribes_per_channel times within a minute: "
		 "further ones are refused",
		 "no channel is subscribed to more than subscribes_per_channel any more",
		 "subscribes_per_channel"},
	[TALLY_ROUTE_OPENS] = {"at a route opens_in_all streams have been opened within a minute: "
			       "further ones are told to come back",
			       "at no route are more than opens_in_all opened any more",
			       "opens_in_all"},
	[TALLY_CHANNEL_OPENS] =
		{"opens_per_channel streams that hear a channel have been opened within a minute: "
		 "further ones are told to come back",
		 "no channel is opened more than opens_per_channel any more", "opens_per_channel"},
	[TALLY_CHANNEL] =
		{"a channel has max_streams_per_channel of a route: further ones are told "
		 "to come back",
		 "no channel is asked for by more than max_streams_per_channel any more",
		 "max_streams_per_channel"},
	[TALLY_TICKETS] = {"max_tickets have been given that nobody has come for: further ones are "
			   "refused",
			   "fewer than max_tickets wait to be used again", "max_tickets"},
	[TALLY_USER_TICKETS] =
		{"a user has max_tickets_per_user that he has not used: further ones "
		 "are refused",
		 "no user asks for more than max_tickets_per_user any more",
		 "max_tickets_per_user"},
	[TALLY_ADDRESS_TICKETS] =
		{"an address has max_tickets_per_address that it has not used: further ones are "
		 "refused",
		 "no address asks for more than max_tickets_per_address any more",
		 "max_tickets_per_address"},
	[TALLY_MEMORY] = {"clients take client_memory: further ones are told to come back",
			  "clients take less than client_memory again", "client_memory"},
	[TALLY_BODIES] = {"a worker has no room for another body: further ones are told to come "
			  "back",
			  "there is room for bodies again", "bodies"},
	[TALLY_MEMORY_SLOW] = {"clients take client_memory: those for whom most waits are let go",
			       "nobody is let go for client_memory any more", "client_memory_slow"},
};

const char *tally_name(enum tally_reason reason)
{
	return words[reason].name;
}

uint64_t tally_total(struct tally *t, enum tally_reason reason)
{
	uint64_t total;

	pthread_mutex_lock(&t->lock);
	total = t->items[reason].total;
	pthread_mutex_unlock(&t->lock);
	return total;
}

void tally_init(struct tally *t)
{
	*t = (struct tally){0};
	pthread_mutex_init(&t->lock, NULL);
}

void tally_free(struct tally *t)
{
	pthread_mutex_destroy(&t->lock);
}

void tally_note(struct tally *t, enum tally_reason reason, uint64_t now_ms, const char *peer,
		const char *what)
{
	const struct log_field fields[] = {{"peer", peer}, {"what", what}, {NULL, NULL}};
	struct tally_item *i = &t->items[reason];
	bool begins;

	pthread_mutex_lock(&t->lock);
	begins = !i->n++;
	if (begins)
		i->began_ms = now_ms;
	i->last_ms = now_ms;
	i->total++;
	pthread_mutex_unlock(&t->lock);
	if (begins)
		log_with(LOG_L_WARN, words[reason].begins, fields);
}

/* The spell that has ended by now, if there is one. */
static bool ended(struct tally *t, size_t reason, uint64_t now_ms, struct tally_item *ret)
{
	struct tally_item *i = &t->items[reason];
	bool over;

	pthread_mutex_lock(&t->lock);
	over = i->n && now_ms >= i->last_ms + TALLY_QUIET_MS;
	*ret = *i;
	if (over)
		i->n = 0;
	pthread_mutex_unlock(&t->lock);
	return over;
}

void tally_tick(struct tally *t, uint64_t now_ms)
{
	for (size_t r = 0; r < N_TALLIES; r++) {
		char clients[24], seconds[24];
		const struct log_field fields[] = {
			{"clients", clients}, {"seconds", seconds}, {NULL, NULL}};
		struct tally_item i;

		if (!ended(t, r, now_ms, &i))
			continue;
		snprintf(clients, sizeof(clients), "%" PRIu64, i.n);
		snprintf(seconds, sizeof(seconds), "%" PRIu64,
			 (i.last_ms - i.began_ms + 999) / 1000);
		log_with(LOG_L_INFO, words[r].ended, fields);
	}
}
