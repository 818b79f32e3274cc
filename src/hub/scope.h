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
	char **channels; /* patterns of those that its users may ask for; none = none */
	size_t n_channels;
	char **publishes; /* the same of those that they may publish to by HTTP */
	size_t n_publishes;
};

/* A set of audience keys: what an event is for, or what a listener hears. Each once, in the order
 * of strcmp(). A key is a user's id, '#' and a channel's name, or "*", which is everybody; an id
 * that begins with one of "#*=" has a '=' before it, so that nobody becomes a channel by his name.
 */
struct keys {
	char **list;
	size_t n;
};

/* Brings keys that were filled in anyhow into that order; drops what stands there twice. */
void keys_sort(struct keys *k);
bool keys_have(const struct keys *k, const char *key);
/* The same in one allocation; NULL for NULL. */
struct keys *keys_copy(const struct keys *k);
/* Whether both are the same set; NULL is one of its own. */
bool keys_same(const struct keys *a, const struct keys *b);
/* Whether an id is spelled with a '=' before it. */
bool key_is_escaped(const char *user_id);

/* Who a client is, from one look-up. Belongs to one stream or request at a time. */
struct principal {
	char *user_id;	       /* and behind it his session's name, if there is one */
	struct keys *channels; /* further keys, with what they point to one allocation; or NULL */
	struct keys *granted;  /* patterns of channels, to which his credential is limited; NULL: it
				* is to none */
	char *role;
	uint64_t expires_ms : 62; /* his token ends in so many milliseconds; 0 = never */
	uint64_t has_session : 1;
	uint64_t channels_only : 1; /* he hears nothing by his id, and not all, whatever his role */
};

void principal_free(struct principal *p);
/* With what his session is called when it ends. */
void principal_name(struct principal *p, const char *user_id, const char *session);
/* That, or NULL. */
const char *principal_session(const struct principal *p);
void principal_expires(struct principal *p, uint64_t ms);

/* Whether he hears all, and not what is for his keys alone. */
bool principal_hears_all(const struct principal *p, const struct scope_policy *policy);
/* Whether his id is among these keys. */
bool principal_is_named(const struct principal *p, const struct keys *k);
/* Whether he hears what is for these keys: by his id, by a channel, or because everybody does. */
bool principal_is_among(const struct principal *p, const struct keys *k);

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
/* What a listener under `policy` sees, given whether the row was for him before and is for him
 * after. */
enum scope_view scope_own_view(char op, bool before, bool after);

#endif
