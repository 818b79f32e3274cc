/* SPDX-License-Identifier: PostgreSQL
 * The keys of an issuer who publishes them, as far as we have them: when they are asked for again,
 * and what becomes of those that are not published any more. Pure; the clock is a parameter, in
 * milliseconds. */
#ifndef PGHERALD_AUTH_JWKS_CACHE_H
#define PGHERALD_AUTH_JWKS_CACHE_H

#include <stdint.h>

#include "auth/jwt.h"

#define JWKS_FRESH_MIN_S 60 /* a shorter max-age of the issuer is that long */

struct jwks_cache {
	/* How it is set: */
	uint64_t pause_ms;   /* between two requests for the sake of tokens */
	uint64_t refresh_ms; /* they are asked for again at the latest */
	uint64_t grace_ms;   /* a key that has gone from the set is good for as long */
	/* How it is: */
	struct jwks *now;    /* NULL before the first time */
	struct jwks *before; /* of which some key has gone, until before_ms */
	uint64_t before_ms;
	bool asking;	    /* a request is under way */
	bool stale;	    /* the last one has failed */
	unsigned failures;  /* in a row */
	bool sought;	    /* … since a token names a key that is not here */
	uint64_t sought_ms; /* when the last such one went out, or ended; 0 = never */
	uint64_t due_ms;    /* when the next one is to go out by itself */
};

enum jwks_answer {
	JWKS_VERDICT, /* *ret says it */
	JWKS_ASK,     /* a new set may know the key: ask for it, then try again */
	JWKS_WAIT,    /* the same, and it is on its way already */
	JWKS_AWAY,    /* the keys cannot be had: nobody knows */
};

/* As jwt_verify(). */
enum jwks_answer jwks_cache_verify(struct jwks_cache *c, const struct jwt_rule *rule,
				   const char *token, size_t len, uint64_t now_ms, int64_t now_s,
				   struct jwt *out, enum jwt_verdict *ret) MUST_CHECK;
/* A request goes out: `sought` by a token, or by itself. */
void jwks_cache_asked(struct jwks_cache *c, bool sought, uint64_t now_ms);
/* It has brought a set (taken), or that ours is the current one (NULL). `max_age_s` as
 * download_max_age() has it. True when a key is good no longer: what came in by one is looked at
 * again.
 */
bool jwks_cache_answered(struct jwks_cache *c, struct jwks *set, int64_t max_age_s,
			 uint64_t now_ms) MUST_CHECK;
/* It has brought nothing: what we have stays. */
void jwks_cache_failed(struct jwks_cache *c, uint64_t now_ms);
/* When something is to be done: a request, or jwks_cache_forget(). UINT64_MAX = nothing. */
uint64_t jwks_cache_next_ms(const struct jwks_cache *c) MUST_CHECK;
/* The time of keys that have gone is over: true when there were any. */
bool jwks_cache_forget(struct jwks_cache *c, uint64_t now_ms) MUST_CHECK;
void jwks_cache_clear(struct jwks_cache *c);

#endif
