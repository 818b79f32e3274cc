/* SPDX-License-Identifier: PostgreSQL
 * What is known of a stream besides its socket, as bytes that the next process reads: whose it is,
 * and where it stands. Text between NULs behind a name of the format: who does not know the name
 * reads nothing. No socket, no clock. */
#ifndef PGHERALD_WEB_LUGGAGE_H
#define PGHERALD_WEB_LUGGAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* Lists are comma separated. */
struct luggage {
	uint64_t socket; /* its inode, by which it is known again */
	const char *token, *user, *route, *door, *position, *peer, *types, *topics, *channels;
	const char *role;    /* which has named its channels; "" where none has */
	const char *granted; /* what its credential says of channels: hub/subscription.h */
	const char *from;    /* its client's address, where that is known */
	uint64_t opened_ms, keepalive_s; /* of CLOCK_MONOTONIC; when one is due */
	uint64_t silent_s;		 /* since a client that talks was heard */
	uint64_t n_events, n_bytes;
	uint64_t form; /* of wire/form.h */
	bool who_am_i, no_types, no_topics;
};

void luggage_begin(struct buf *b);
void luggage_add(struct buf *b, const struct luggage *l);
void luggage_end(struct buf *b);
/* All of it, pointing into `bytes`; the caller frees the array. False, and nothing, when it is of
 * another format, or not whole. */
bool luggage_read(const char *bytes, size_t len, struct luggage **ret, size_t *ret_n) MUST_CHECK;

#endif
