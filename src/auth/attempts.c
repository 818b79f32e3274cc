/* SPDX-License-Identifier: PostgreSQL
 * See attempts.h. */
#include "config.h"
#include "auth/attempts.h"

#include <string.h>

#define ONE 1000 /* a failure, in thousandths */
#define OVERDRAW                                                                                   \
	2 /* an address owes so many buckets at most: what was under way when it was empty */

void attempts_init(struct attempts *a)
{
	memset(a, 0, sizeof(*a));
	pthread_mutex_init(&a->lock, NULL);
	a->key = siphash_key_new();
}

void attempts_free(struct attempts *a)
{
	pthread_mutex_destroy(&a->lock);
}

void attempts_limit(struct attempts *a, uint64_t max, uint64_t window_ms)
{
	pthread_mutex_lock(&a->lock);
	a->max = max;
	a->window_ms = window_ms;
	pthread_mutex_unlock(&a->lock);
}

/* What is owed by now. */
static uint64_t owed(const struct attempts *a, const struct attempts_bucket *b, uint64_t now_ms)
{
	uint64_t ms = now_ms > b->at_ms ? now_ms - b->at_ms : 0, back;

	if (ms >= a->window_ms * OVERDRAW)
		return 0;
	back = ms * a->max * ONE / a->window_ms;
	return b->owed > back ? b->owed - back : 0;
}

/* The bucket of an address, or the one in its place that owes least: what is not told apart owes no
 * less than that. So an address that was pushed out is not let off. */
static struct attempts_bucket *find(struct attempts *a, const struct address *block,
				    uint64_t now_ms)
{
	struct attempts_bucket *set =
		a->buckets[siphash(&a->key, block, sizeof(*block)) % ATTEMPTS_SETS];
	struct attempts_bucket *least = set;

	for (size_t i = 0; i < ATTEMPTS_WAYS; i++) {
		if (!memcmp(&set[i].block, block, sizeof(*block)))
			return &set[i];
		if (owed(a, &set[i], now_ms) < owed(a, least, now_ms))
			least = &set[i];
	}
	return least;
}

static void set_owed(struct attempts_bucket *b, const struct address *block, uint64_t owed,
		     uint64_t now_ms)
{
	*b = (struct attempts_bucket){*block, (uint32_t)owed, now_ms};
}

/* Where a credential is, or would be, and its hash. */
static uint64_t *known_set(struct attempts *a, const char *credential, uint64_t *ret_hash)
{
	uint64_t hash = siphash(&a->key, credential, strlen(credential));

	*ret_hash = hash ? hash : 1;
	return a->known[hash % ATTEMPTS_KNOWN];
}

static size_t place_of(const uint64_t *set, uint64_t hash)
{
	size_t i = 0;

	while (i < ATTEMPTS_WAYS && set[i] != hash)
		i++;
	return i;
}

bool attempts_allow(struct attempts *a, const struct address *from, const char *credential,
		    uint64_t now_ms, uint64_t *ret_wait_ms)
{
	struct address block = address_block(from);
	uint64_t hash, *set, debt, most;
	bool ok = true;

	pthread_mutex_lock(&a->lock);
	if (a->max) {
		debt = owed(a, find(a, &block, now_ms), now_ms);
		most = (a->max - 1) * ONE;
		set = known_set(a, credential, &hash);
		ok = debt <= most || place_of(set, hash) < ATTEMPTS_WAYS;
		if (!ok)
			*ret_wait_ms = (debt - most) * a->window_ms / (a->max * ONE) + 1;
	}
	pthread_mutex_unlock(&a->lock);
	return ok;
}

void attempts_failed(struct attempts *a, const struct address *from, uint64_t now_ms)
{
	struct address block = address_block(from);
	struct attempts_bucket *b;
	uint64_t debt;

	pthread_mutex_lock(&a->lock);
	if (a->max) {
		b = find(a, &block, now_ms);
		debt = owed(a, b, now_ms) + ONE;
		if (debt > a->max * ONE * OVERDRAW)
			debt = a->max * ONE * OVERDRAW;
		set_owed(b, &block, debt, now_ms);
	}
	pthread_mutex_unlock(&a->lock);
}

void attempts_good(struct attempts *a, const struct address *from, const char *credential,
		   uint64_t now_ms)
{
	struct address block = address_block(from);
	struct attempts_bucket *b;
	uint64_t hash, *set, debt;
	size_t i;

	pthread_mutex_lock(&a->lock);
	set = known_set(a, credential, &hash);
	i = place_of(set, hash);
	if (i == ATTEMPTS_WAYS && a->max) {
		b = find(a, &block, now_ms);
		debt = owed(a, b, now_ms);
		if (!memcmp(&b->block, &block, sizeof(block)))
			set_owed(b, &block, debt > ONE ? debt - ONE : 0, now_ms);
	}
	memmove(set + 1, set, (i < ATTEMPTS_WAYS ? i : ATTEMPTS_WAYS - 1) * sizeof(*set));
	set[0] = hash;
	pthread_mutex_unlock(&a->lock);
}
