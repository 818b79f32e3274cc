/* SPDX-License-Identifier: PostgreSQL
 * See scope.h. */
#include "config.h"
#include "hub/scope.h"

#include <stdlib.h>
#include <string.h>

void principal_free(struct principal *p)
{
	if (!p)
		return;
	free(p->user_id);
	free(p->role);
	free(p->session);
	free(p);
}

static int by_key(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void owners_sort(struct owners *o)
{
	size_t n = 0;

	if (o->n < 2)
		return;
	qsort(o->keys, o->n, sizeof(*o->keys), by_key);
	for (size_t i = 0; i < o->n; i++)
		if (!n || strcmp(o->keys[n - 1], o->keys[i]) != 0)
			o->keys[n++] = o->keys[i];
	o->n = n;
}

bool owners_have(const struct owners *o, const char *key)
{
	size_t low = 0, high = o->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(o->keys[middle], key);

		if (!order)
			return true;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
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
		return before ? VIEW_WHOLE : VIEW_NOTHING;
	case 'u':
		if (before && after)
			return VIEW_WHOLE;
		return after ? VIEW_ENTER : before ? VIEW_LEAVE : VIEW_NOTHING;
	case 'f':
		return before || after ? VIEW_WHOLE : VIEW_NOTHING;
	default: /* fail closed: an operation we do not know belongs to nobody */
		return VIEW_NOTHING;
	}
}
