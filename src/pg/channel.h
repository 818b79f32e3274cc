/* SPDX-License-Identifier: PostgreSQL
 * The channels whose payloads are events (pg/inline.h): listening to them, and what is told when
 * nobody listened for a while. */
#ifndef PGHERALD_PG_CHANNEL_H
#define PGHERALD_PG_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hub/event.h"
#include "pg/conn.h"
#include "pg/inline.h"

struct channel {
	const char *name;
	const struct inline_topics *topics; /* of triggers with capture = notify; or NULL, and */
	struct inline_rule rule;	    /* how to read what an application sends */
};

struct channels {
	struct channel *list; /* belongs to whoever set it */
	size_t n;
	char *topics;		/* JSON array of theirs; owned */
	bool gap;		/* events may have been missed */
	uint64_t n_malformed;	/* payloads that were no event */
	uint64_t complained_ms; /* when the log last said so */
};

/* Queues a LISTEN for each. */
void channels_listen(struct channels *cs, struct conn *c);
/* The event in a payload on the channel of that name; NULL when it is none, or no channel of ours.
 */
struct event *channels_take(struct channels *cs, const char *name, const char *payload,
			    uint64_t now_ms, int64_t at);
/* What was sent while nobody listened is gone, and there is no journal to ask: the resync that says
 * so, or NULL when nothing was missed. */
struct event *channels_gap(struct channels *cs, int64_t at);
void channels_free(struct channels *cs);

#endif
