/* SPDX-License-Identifier: PostgreSQL
 * Credentials that nobody has, counted by whose address they come from, so that nobody guesses for
 * long. Each address has a bucket of failures that refills evenly. When it is empty, credentials
 * that have been good lately still pass, and all others wait: behind one address there may be many.
 * Memory is fixed: who is pushed out by others comes back with what they owe, not with a full
 * bucket. */
#ifndef PGHERALD_AUTH_ATTEMPTS_H
#define PGHERALD_AUTH_ATTEMPTS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/mem.h"
#include "base/siphash.h"

#define ATTEMPTS_WAYS  4 /* places that an address, or a credential, may have */
#define ATTEMPTS_SETS  1024
#define ATTEMPTS_KNOWN 4096 /* sets of credentials that have been good */

struct attempts_bucket {
	struct address block;
	uint32_t owed;	/* failures not yet refilled, in thousandths */
	uint64_t at_ms; /* when that was true */
};

struct attempts {
	pthread_mutex_t lock;
	struct siphash_key key;
	uint64_t max,
		window_ms; /* failures, and the time in which so many come back; 0 = no limit */
	struct attempts_bucket buckets[ATTEMPTS_SETS][ATTEMPTS_WAYS];
	uint64_t known[ATTEMPTS_KNOWN][ATTEMPTS_WAYS]; /* hashes, the latest first; 0 = none */
};

/* `now_ms` is any clock that does not jump. All from every thread. */
void attempts_init(struct attempts *a);
void attempts_free(struct attempts *a);
void attempts_limit(struct attempts *a, uint64_t max, uint64_t window_ms);
/* Whether a credential may be looked up for that address now. False with the milliseconds in which
 * it is worth trying again. */
bool attempts_allow(struct attempts *a, const struct address *from, const char *credential,
		    uint64_t now_ms, uint64_t *ret_wait_ms) MUST_CHECK;
/* It was nobody's. */
void attempts_failed(struct attempts *a, const struct address *from, uint64_t now_ms);
/* It was somebody's. One that was not known before gives a failure back: where many come in and few
 * fail, nobody is guessing. */
void attempts_good(struct attempts *a, const struct address *from, const char *credential,
		   uint64_t now_ms);

#endif
