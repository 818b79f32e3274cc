/* SPDX-License-Identifier: PostgreSQL
 * Whose request a proxy passes on. What a header says of the client is believed from its right end,
 * as far as those who have written it are listed: each of them appended whom it saw. */
#ifndef PGHERALD_AUTH_FORWARDED_H
#define PGHERALD_AUTH_FORWARDED_H

#include <stdbool.h>
#include <stddef.h>

#include "base/address.h"
#include "base/mem.h"

#define FORWARDED_MAX 16 /* hops that are looked at, from the right */

/* Who is believed. */
struct forwarded_trust {
	struct address_range *ranges;
	size_t n;
	bool local; /* whoever comes through a Unix socket */
};

enum forwarded_header {
	FORWARDED_X_FOR, /* X-Forwarded-For: a list of addresses */
	FORWARDED_RFC,	 /* Forwarded (RFC 7239): a list of for=…;by=… */
};

/* Reads [server] trusted_proxies: addresses, ranges, "unix:". False, and the item in `ret_bad`, for
 * something else. forwarded_trust_free() releases it. */
bool forwarded_trust_parse(struct forwarded_trust *t, char *const *items, size_t n,
			   const char **ret_bad) MUST_CHECK;
void forwarded_trust_free(struct forwarded_trust *t);
/* Whether that peer (none for a Unix socket) is listed. */
bool forwarded_trusts(const struct forwarded_trust *t, const struct address *peer) MUST_CHECK;
/* The hops of a header's value go to the right end of those collected so far; of more than
 * FORWARDED_MAX the left ones are forgotten. */
struct forwarded {
	struct address hops[FORWARDED_MAX]; /* none for what is no address */
	size_t n;
};
void forwarded_add(struct forwarded *f, enum forwarded_header kind, const char *value);
/* The client's address: the rightmost hop that is not listed itself. None when a listed proxy says
 * nothing that is understood: then it speaks for somebody unknown. For a peer that is not listed,
 * the peer. */
struct address forwarded_client(const struct forwarded *f, const struct forwarded_trust *t,
				const struct address *peer) MUST_CHECK;

#endif
