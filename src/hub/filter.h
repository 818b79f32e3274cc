/* SPDX-License-Identifier: PostgreSQL
 * What a listener asked to be spared: of what his role may hear, only these topics and types of
 * events. Never a right; what is filtered out counts as told. */
#ifndef PGHERALD_HUB_FILTER_H
#define PGHERALD_HUB_FILTER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"

#define FILTER_ITEMS_MAX 64
#define FILTER_ITEM_MAX	 128 /* bytes */

struct event;

struct filter {
	char *const *limits; /* types: what its route has; not owned */
	size_t n_limits;
	char **types, **topics; /* none: all of them … */
	size_t n_types, n_topics;
	bool no_types, no_topics; /* … or, when they have been dropped one by one, none */
};

/* Adds the items of a comma-separated list. A type is exact or ends in ".*"; a topic is its name,
 * with or without that. False for an empty item, for one that is too long, and for too many. `*f`
 * may be NULL: then it is made. */
bool filter_add_types(struct filter **f, const char *list) MUST_CHECK;
bool filter_add_topics(struct filter **f, const char *list) MUST_CHECK;
/* Adds what is in `more`. What hears all of them already hears no more by that; False, and
 * nothing added, when they would be too many. */
bool filter_join(struct filter *f, const struct filter *more) MUST_CHECK;
/* Takes away what is in `less`. False, and nothing taken away, when of one kind it hears all: it
 * has no list from which one could be missing. */
bool filter_drop(struct filter *f, const struct filter *less) MUST_CHECK;
/* Of all types only these, whatever else is asked for; they outlive it. Nothing for none. */
void filter_limit(struct filter **f, char *const *types, size_t n);
void filter_free(struct filter *f);
/* Whether it wants an event that is no resync. */
bool filter_wants(const struct filter *f, const struct event *e) MUST_CHECK;
/* Whether anything of that topic may be wanted. */
bool filter_wants_topic(const struct filter *f, const char *topic) MUST_CHECK;
/* The same of any event, a resync as well: of some of its topics only, then `*ret_topics`, which
 * the caller frees, are those. */
bool filter_wants_of(const struct filter *f, const struct event *e, char **ret_topics) MUST_CHECK;
/* Of a JSON array of topics those that are wanted, as text; the caller frees. NULL when none is. */
char *filter_topics(const struct filter *f, const char *topics) MUST_CHECK;

#endif
