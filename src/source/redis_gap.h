/* SPDX-License-Identifier: PostgreSQL
 * Whether entries of a stream of Redis are gone that nobody has read: trimmed (MAXLEN, XTRIM) while
 * the daemon or its database was away. */
#ifndef PGHERALD_SOURCE_REDIS_GAP_H
#define PGHERALD_SOURCE_REDIS_GAP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"

struct redisReply;

/* "MILLISECONDS-NUMBER", as XADD makes them. */
struct redis_entry_id {
	uint64_t ms, n;
};

/* What a server says of a stream; `known` is false for a reply that says too little. */
struct redis_extent {
	bool known;
	struct redis_entry_id first; /* that is there; of an empty one what would be the next */
	int64_t gone;		     /* entries that are not there any more; -1 unknown */
};

bool redis_entry_id(struct redis_entry_id *ret, const struct redisReply *text) MUST_CHECK;
/* Of a reply to XINFO STREAM. */
struct redis_extent redis_extent(const struct redisReply *r);
/* Whether something is missing for who has read up to and with `last` ("0-0": nothing yet, nothing
 * is missed). Where the server does not count, before Redis 7, it may be that all that is gone had
 * been read. */
bool redis_gap(const struct redis_extent *e, const struct redisReply *last) MUST_CHECK;
/* The same for a group, of a reply to XINFO GROUPS. */
bool redis_gap_of_group(const struct redis_extent *e, const struct redisReply *r,
			const char *group) MUST_CHECK;

#endif
