/* SPDX-License-Identifier: PostgreSQL
 * See scope.h. */
#include "config.h"
#include "hub/scope.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void principal_free(struct principal *p)
{
	if (!p)
		return;
	free(p->user_id);
	free(p->channels);
	free(p->granted);
	free(p->role);
	free(p);
}

static int by_key(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void keys_sort(struct keys *k)
{
	size_t n = 0;

	if (k->n < 2)
		return;
	xsort(k->list, k->n, sizeof(*k->list), by_key);
	for (size_t i = 0; i < k->n; i++)
		if (!n || strcmp(k->list[n - 1], k->list[i]) != 0)
			k->list[n++] = k->list[i];
	k->n = n;
}

struct keys *keys_copy(const struct keys *k)
{
	size_t size = 0;
	struct keys *copy;
	char *at;

	if (!k)
		return NULL;
	for (size_t i = 0; i < k->n; i++)
		size += sizeof(char *) + strlen(k->list[i]) + 1;
	copy = xcalloc(1, sizeof(*copy) + size);
	copy->list = (char **)(void *)(copy + 1);
	copy->n = k->n;
	at = (char *)(copy->list + k->n);
	for (size_t i = 0; i < k->n; i++) {
		size_t len = strlen(k->list[i]) + 1;

		copy->list[i] = memcpy(at, k->list[i], len);
		at += len;
	}
	return copy;
}

bool keys_same(const struct keys *a, const struct keys *b)
{
	if (!a || !b || a->n != b->n)
		return a == b;
	for (size_t i = 0; i < a->n; i++)
		if (strcmp(a->list[i], b->list[i]) != 0)
			return false;
	return true;
}

bool key_is_escaped(const char *user_id)
{
	return *user_id == '#' || *user_id == '*' || *user_id == '=';
}

/* As strcmp() does with the key that has a '=' before `text` when it is escaped. */
static int compare(const char *key, const char *text, bool escaped)
{
	if (!escaped)
		return strcmp(key, text);
	return *key == '=' ? strcmp(key + 1, text) : (unsigned char)*key - '=';
}

static bool have(const struct keys *k, const char *text, bool escaped)
{
	size_t low = 0, high = k->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = compare(k->list[middle], text, escaped);

		if (!order)
			return true;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

bool keys_have(const struct keys *k, const char *key)
{
	return have(k, key, false);
}

void principal_expires(struct principal *p, uint64_t ms)
{
	p->expires_ms = ms & (UINT64_MAX >> 2);
}

void principal_name(struct principal *p, const char *user_id, const char *session)
{
	size_t id = strlen(user_id) + 1, name = strlen(session) + 1;

	free(p->user_id);
	p->user_id = xcalloc(id + name, 1);
	memcpy(p->user_id, user_id, id);
	memcpy(p->user_id + id, session, name);
	p->has_session = true;
}

const char *principal_session(const struct principal *p)
{
	return p->has_session ? p->user_id + strlen(p->user_id) + 1 : NULL;
}

bool principal_hears_all(const struct principal *p, const struct scope_policy *policy)
{
	return policy->receives == RECEIVES_ALL && !p->channels_only;
}

bool principal_is_named(const struct principal *p, const struct keys *k)
{
	return have(k, p->user_id, key_is_escaped(p->user_id));
}

bool principal_is_among(const struct principal *p, const struct keys *k)
{
	if (have(k, "*", false) || (!p->channels_only && principal_is_named(p, k)))
		return true;
	for (size_t i = 0; p->channels && i < p->channels->n; i++)
		if (have(k, p->channels->list[i], false))
			return true;
	return false;
}

bool scope_pattern_matches(const char *pattern, const char *type)
{
	size_t len = strlen(pattern);

	if (!strcmp(pattern, "*"))
		return true;
	if (len >= 2 && !strcmp(pattern + len - 2, ".*")) /* "estimate.*": the dot counts */
		return !strncmp(pattern, type, len - 1);
	return !strcmp(pattern, type);
}

bool scope_type_allowed(const struct scope_policy *policy, const char *type)
{
	if (!policy->n_patterns)
		return true;
	for (size_t i = 0; i < policy->n_patterns; i++)
		if (scope_pattern_matches(policy->patterns[i], type))
			return true;
	return false;
}

enum scope_view scope_own_view(char op, bool before, bool after)
{
	switch (op) {
	case 'i':
		return after ? VIEW_WHOLE : VIEW_NOTHING;
	case 'd':
		/* after: who came to own it while it was being deleted knows its key */
		return before ? VIEW_WHOLE : after ? VIEW_LEAVE : VIEW_NOTHING;
	case 'o':
		if (before && after)
			return VIEW_NOTHING;
		return after ? VIEW_ENTER : before ? VIEW_LEAVE : VIEW_NOTHING;
	case 'u':
		if (before && after)
			return VIEW_WHOLE;
		return after ? VIEW_ENTER : before ? VIEW_LEAVE : VIEW_NOTHING;
	case 'm':
		return after ? VIEW_WHOLE : VIEW_NOTHING;
	case 'f':
		return before || after ? VIEW_WHOLE : VIEW_NOTHING;
	default: /* fail closed: an operation we do not know belongs to nobody */
		return VIEW_NOTHING;
	}
}
