/* SPDX-License-Identifier: PostgreSQL
 * Where a credential stands in a request, as the configuration spells it. */
#ifndef PGHERALD_AUTH_PLACE_H
#define PGHERALD_AUTH_PLACE_H

#include <stdbool.h>

#include "base/mem.h"

#define PLACES_MAX 6 /* of one door */

enum place_kind {
	PLACE_NOWHERE,	     /* everybody has it */
	PLACE_COOKIE,	     /* which browsers send by themselves */
	PLACE_AUTHORIZATION, /* "Token …", "Bearer …" */
	PLACE_QUERY,	     /* where a route takes one in the URL */
	PLACE_HEADER,	     /* of that name */
	PLACE_PROTOCOL,	     /* Sec-WebSocket-Protocol */
};

struct place {
	enum place_kind kind;
	const char *name; /* of the cookie, the parameter or the header; NULL for the others */
};

/* "authorization", "protocol", "query", "query:NAME", "cookie:NAME" or "header:NAME"; the name
 * stays where it is. False for anything else, and for names that cannot be one. */
bool place_parse(const char *text, struct place *ret) MUST_CHECK;
bool place_same(const struct place *a, const struct place *b) MUST_CHECK;

#endif
