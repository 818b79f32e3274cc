/* SPDX-License-Identifier: PostgreSQL
 * Who may hear what. A policy is what a role may hear; a principal is who a client is; the
 * verdict for one event and one principal is the same live and in replay. */
#ifndef PGHERALD_HUB_SCOPE_H
#define PGHERALD_HUB_SCOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum receives { RECEIVES_NONE, RECEIVES_OWN, RECEIVES_ALL };

/* One [role NAME] section. */
struct scope_policy {
	char *name;
	int receives;	 /* enum receives */
	char **patterns; /* event types, e.g. "estimate.*"; none = every type */
	size_t n_patterns;
};

/* Who a client is, from one look-up. Belongs to one stream or request at a time. */
struct principal {
	char *user_id; /* also the audience key that owners are compared with */
	char *role;
	char *session;	     /* what his session is called when it ends, or NULL */
	uint64_t expires_ms; /* his token ends in so many milliseconds; 0 = never */
};

void principal_free(struct principal *p);

/* Owners of a row before or after a change, each once and in the order of strcmp(). */
struct owners {
	char **keys;
	size_t n;
};

/* Brings keys that were filled in anyhow into that order; drops what stands there twice. */
void owners_sort(struct owners *o);
bool owners_have(const struct owners *o, const char *key);

/* How one listener sees an event. */
enum scope_view {
	VIEW_NOTHING,
	VIEW_WHOLE, /* the event as it is */
	VIEW_ENTER, /* the row became his: the whole document, marked */
	VIEW_LEAVE, /* the row is no longer his: its key only, marked */
};

/* Whether a pattern matches `type` ("estimate.updated"): exact, "*", or a prefix ending in ".*". */
bool scope_pattern_matches(const char *pattern, const char *type);
/* Whether `type` ("estimate.updated") matches one of the policy's patterns: exact, "*", or a
 * prefix ending in ".*". */
bool scope_type_allowed(const struct scope_policy *policy, const char *type);
/* What a listener under `policy` sees, given whether he owned the row before and owns it after. */
enum scope_view scope_own_view(char op, bool before, bool after);

#endif
