/* SPDX-License-Identifier: PostgreSQL
 * See jwks_cache.h. */
#include "config.h"
#include "auth/jwks_cache.h"

#define RETRY_MAX_MS 300000 /* a server that is away is asked that often at least */

void jwks_cache_clear(struct jwks_cache *c)
{
	jwks_free(c->now);
	jwks_free(c->before);
	c->now = c->before = NULL;
}

/* Whether other keys could change the verdict: the token's is not here, or has no name by which it
 * could be missed. */
static bool may_be_news(const struct jwks *s, enum jwt_verdict v)
{
	if (v == JWT_KEY)
		return true;
	for (size_t i = 0; i < s->n && (v == JWT_SIGNATURE || v == JWT_ALGORITHM); i++)
		if (!s->keys[i].kid)
			return true;
	return false;
}

enum jwks_answer jwks_cache_verify(struct jwks_cache *c, const struct jwt_rule *rule,
				   const char *token, size_t len, uint64_t now_ms, int64_t now_s,
				   struct jwt *out, enum jwt_verdict *ret)
{
	if (!c->now)
		return c->asking ? JWKS_WAIT : JWKS_AWAY;
	*ret = jwt_verify(c->now, rule, token, len, now_s, out);
	if (!may_be_news(c->now, *ret))
		return JWKS_VERDICT;
	if (c->before && now_ms < c->before_ms) {
		enum jwt_verdict v = jwt_verify(c->before, rule, token, len, now_s, out);

		if (v == JWT_OK || !may_be_news(c->before, v)) {
			*ret = v;
			return JWKS_VERDICT;
		}
	}
	if (c->asking)
		return JWKS_WAIT;
	if (!c->sought_ms || now_ms >= c->sought_ms + c->pause_ms)
		return JWKS_ASK;
	return c->stale ? JWKS_AWAY : JWKS_VERDICT;
}

void jwks_cache_asked(struct jwks_cache *c, bool sought, uint64_t now_ms)
{
	c->asking = true;
	c->sought = sought;
	if (sought)
		c->sought_ms = now_ms;
	c->due_ms = UINT64_MAX;
}

/* What the issuer asks for, between what an attacker could make of it and what we bear to be
 * behind. */
static uint64_t fresh_ms(const struct jwks_cache *c, int64_t max_age_s)
{
	uint64_t ms = c->refresh_ms;

	if (max_age_s >= 0 && (uint64_t)max_age_s * 1000 < ms)
		ms = (uint64_t)max_age_s * 1000;
	if (ms < (uint64_t)JWKS_FRESH_MIN_S * 1000 && ms < c->refresh_ms)
		ms = (uint64_t)JWKS_FRESH_MIN_S * 1000;
	if (ms > c->refresh_ms)
		ms = c->refresh_ms;
	return ms > c->pause_ms ? ms : c->pause_ms;
}

bool jwks_cache_answered(struct jwks_cache *c, struct jwks *set, int64_t max_age_s, uint64_t now_ms)
{
	bool gone = set && c->now && !jwks_covers(set, c->now);

	c->asking = c->stale = false;
	c->failures = 0;
	if (c->sought) /* the pause is one between two, however long they take */
		c->sought_ms = now_ms;
	c->due_ms = now_ms + fresh_ms(c, max_age_s);
	if (!set)
		return false;
	if (gone && c->grace_ms) {
		jwks_free(c->before);
		c->before = c->now;
		c->before_ms = now_ms + c->grace_ms;
	} else {
		jwks_free(c->now);
	}
	c->now = set;
	return gone && !c->grace_ms;
}

void jwks_cache_failed(struct jwks_cache *c, uint64_t now_ms)
{
	uint64_t most = c->refresh_ms < RETRY_MAX_MS ? c->refresh_ms : RETRY_MAX_MS;
	uint64_t ms = c->pause_ms;

	for (unsigned i = 0; i < c->failures && ms < most; i++)
		ms *= 2;
	if (ms > most)
		ms = most;
	c->failures++;
	if (c->sought)
		c->sought_ms = now_ms;
	c->asking = false;
	c->stale = true;
	c->due_ms = now_ms + (ms > c->pause_ms ? ms : c->pause_ms);
}

uint64_t jwks_cache_next_ms(const struct jwks_cache *c)
{
	return c->before && c->before_ms < c->due_ms ? c->before_ms : c->due_ms;
}

bool jwks_cache_forget(struct jwks_cache *c, uint64_t now_ms)
{
	if (!c->before || now_ms < c->before_ms)
		return false;
	jwks_free(c->before);
	c->before = NULL;
	return true;
}
