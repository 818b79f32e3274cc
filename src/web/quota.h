/* SPDX-License-Identifier: PostgreSQL
 * How often clients of a route may open streams, publish and change what they hear: each limit of
 * the route a bucket of its own (pace.h), each refusal counted (tally.h). */
#ifndef PGHERALD_WEB_QUOTA_H
#define PGHERALD_WEB_QUOTA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/mem.h"
#include "web/tally.h"

struct commons;
struct conf_route;
struct keys;
struct subscription;

/* Who it is, and when. */
struct quota_asker {
	struct commons *commons;
	const struct conf_route *route;
	const char *user_id;
	const struct address *from;
	uint64_t now_ms;
};

/* Why not, with the milliseconds until it is worth trying again; N_TALLIES when it is allowed.
 * Nothing is counted yet: quota_note() does. */
enum tally_reason quota_come(const struct quota_asker *a, uint64_t *ret_wait_ms) MUST_CHECK;
/* Once it is known who comes, and what he is to hear; NULL for no channel. */
enum tally_reason quota_open(const struct quota_asker *a, const struct keys *channels,
			     uint64_t *ret_wait_ms) MUST_CHECK;
enum tally_reason quota_publish(const struct quota_asker *a, uint64_t *ret_wait_ms) MUST_CHECK;
/* The same of what it is published to: a channel, "*" or "user/ID". */
enum tally_reason quota_publish_to(const struct quota_asker *a, const char *to,
				   uint64_t *ret_wait_ms) MUST_CHECK;
enum tally_reason quota_subscribe(const struct quota_asker *a, uint64_t *ret_wait_ms) MUST_CHECK;
/* The same of the channels that are to be heard besides. */
enum tally_reason quota_subscribe_to(const struct quota_asker *a,
				     const struct subscription *channels,
				     uint64_t *ret_wait_ms) MUST_CHECK;
/* A sentence for the client, and an HTTP status. */
const char *quota_why(enum tally_reason reason);
unsigned quota_status(enum tally_reason reason);
/* Counts a refusal; `peer` is for the log. */
void quota_note(const struct quota_asker *a, enum tally_reason reason, const char *peer);

#endif
