/* SPDX-License-Identifier: PostgreSQL
 * See pace.h. */
#include "config.h"
#include "web/pace.h"

#include <stdlib.h>
#include <string.h>

#define US_PER_MS 1000

void pace_init(struct pace *p)
{
	memset(p, 0, sizeof(*p));
	pthread_mutex_init(&p->lock, NULL);
	p->key = siphash_key_new();
}

void pace_free(struct pace *p)
{
	pthread_mutex_destroy(&p->lock);
}

/* Its bucket, or the place of whoever owes least. */
static struct pace_bucket *find(struct pace *p, uint64_t who)
{
	struct pace_bucket *set = p->buckets[who % PACE_SETS], *least = set;

	for (size_t i = 0; i < PACE_WAYS; i++) {
		if (set[i].who == who)
			return &set[i];
		if (set[i].full_us < least->full_us)
			least = &set[i];
	}
	*least = (struct pace_bucket){.who = who};
	return least;
}

bool pace_take(struct pace *p, const char *route, const char *who, uint64_t max, uint64_t now_ms,
	       uint64_t *ret_wait_ms)
{
	autofree char *text = NULL;
	struct pace_bucket *b;
	uint64_t now = now_ms * US_PER_MS, full, after;
	bool ok;

	if (!max)
		return true;
	text = xasprintf("%s %s", route, who);
	pthread_mutex_lock(&p->lock);
	b = find(p, siphash(&p->key, text, strlen(text)) | 1);
	full = b->full_us > now ? b->full_us : now;
	after = full + PACE_MS * US_PER_MS / max;
	ok = after - now <= PACE_MS * US_PER_MS;
	if (ok)
		b->full_us = after;
	else
		*ret_wait_ms = (after - now) / US_PER_MS - PACE_MS + 1;
	pthread_mutex_unlock(&p->lock);
	return ok;
}
