/* SPDX-License-Identifier: PostgreSQL
 * How often somebody may come: a bucket for each of a user or an address on a route, which refills
 * evenly over a minute. Memory is fixed: of more who come than there are places, those who owe
 * least are forgotten. */
#ifndef PGHERALD_WEB_PACE_H
#define PGHERALD_WEB_PACE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/siphash.h"

#define PACE_WAYS 4 /* places that one may have */
#define PACE_SETS 2048
#define PACE_MS	  60000 /* in which a bucket refills */

struct pace_bucket {
	uint64_t who;	  /* hash; 0 = nobody */
	uint64_t full_us; /* when it is full again */
};

struct pace {
	pthread_mutex_t lock;
	struct siphash_key key;
	struct pace_bucket buckets[PACE_SETS][PACE_WAYS];
};

/* `now_ms` is any clock that does not jump. From every thread. */
void pace_init(struct pace *p);
void pace_free(struct pace *p);
/* Takes one of `max` a minute, 0 for no limit, from the bucket of `who` on `route`. False when it
 * is empty, with the milliseconds until there is one. */
bool pace_take(struct pace *p, const char *route, const char *who, uint64_t max, uint64_t now_ms,
	       uint64_t *ret_wait_ms) MUST_CHECK;

#endif
