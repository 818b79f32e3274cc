/* SPDX-License-Identifier: PostgreSQL
 * What a Redis server sends (RESP 2), kept within bounds before somebody builds it up in memory:
 * values that are too long become nil, one by one, and what could not be meant is an error. It
 * counts bytes and understands nothing of the replies. */
#ifndef PGHERALD_WIRE_RESP_H
#define PGHERALD_WIRE_RESP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define RESP_LINE_MAX  4096    /* bytes of a line: an error's words, a number */
#define RESP_ITEMS_MAX 1000000 /* of an array */

struct resp {
	size_t max_reply, n_reply; /* bytes of a whole reply, and of the one at hand */
	bool overfull;		   /* more than that: values were left out */
	size_t max;		   /* bytes of a value */
	char line[32];		   /* the beginning of one that a length stands in */
	char last;		   /* byte of it */
	size_t n_line;		   /* bytes of it so far, also beyond */
	uint64_t left;		   /* bytes of a value and its line end that are still to come */
	bool dropping;		   /* they are left out */
	bool failed;
	uint64_t n_dropped;
};

/* From the beginning of a connection. Values, and all of a reply together, have so many bytes at
 * most. */
void resp_init(struct resp *r, size_t max_value, size_t max_reply);
/* Takes what has come and appends what goes on. False when it is no RESP 2, for good. */
bool resp_feed(struct resp *r, const char *data, size_t len, struct buf *out) MUST_CHECK;

/* A reply has been taken: the next one is counted from here. */
void resp_next(struct resp *r);

#endif
