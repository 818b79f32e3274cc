/* SPDX-License-Identifier: PostgreSQL
 * One worker's listeners, indexed by what they may hear, and the recent past. Publishing finds
 * the recipients by look-up: a targeted event among 15,000 streams touches only its own. */
#ifndef PGHERALD_HUB_HUB_H
#define PGHERALD_HUB_HUB_H

#include <stdbool.h>
#include <stddef.h>

#include "hub/event.h"
#include "hub/ring.h"
#include "hub/scope.h"
#include <uthash.h>

#define HUB_MAX_ROLES 64 /* a set of roles is one machine word */

struct hub_group;

struct hub_seats;

/* One listener; the first member of whatever listens. */
struct hub_member {
	struct principal *who;	 /* owned by the listener */
	struct hub_group *group; /* of his role or his id; NULL while it is not in the hub */
	struct hub_seats *seats; /* in the groups of his channels; NULL without any */
	uint32_t place;		 /* in the group's array */
	uint32_t role;		 /* index into the hub's policies */
};

/* All listeners of a role that hears everything, or all of one key. */
struct hub_group {
	struct hub_member **members;
	size_t n, cap;
	char *key; /* NULL for a role's group */
	struct hub_group *next_empty;
	UT_hash_handle hh;
};

struct hub {
	const struct scope_policy *policies; /* not owned */
	size_t n_policies;
	struct hub_group *roles; /* one per policy: those who hear all of it */
	struct hub_group *keys;	 /* by key: those who hear their own */
	struct hub_group *empty; /* those that have become so in a walk over members */
	bool walking;
	uint64_t n_published;
	struct ring ring;
	void (*deliver)(struct hub_member *m, struct event *e, enum scope_view view);
};

void hub_init(struct hub *h, const struct scope_policy *policies, size_t n, size_t ring_events,
	      uint64_t ring_bytes,
	      void (*deliver)(struct hub_member *, struct event *, enum scope_view));
/* Every member must have left. */
void hub_free(struct hub *h);
/* Other policies; every member must have left. */
void hub_set_policies(struct hub *h, const struct scope_policy *policies, size_t n);
/* The policy of that name's index, or -1. */
int hub_role(const struct hub *h, const char *name);
/* `m->who` and `m->role` are set; from now on it hears what is published for its user's id or one
 * of its channels: once, however many of its keys an event has, as event_view() sees it. */
void hub_join(struct hub *h, struct hub_member *m);
/* Harmless for a member that has not joined; allowed inside deliver() for the member at hand. */
void hub_leave(struct hub *h, struct hub_member *m);
/* Into the ring, and to everyone who may hear it. */
void hub_publish(struct hub *h, struct event *e);
/* Every listener of a user, for a change of his rights; `each` may make it leave. */
void hub_each_of_user(struct hub *h, const char *user_id,
		      void (*each)(struct hub_member *m, void *arg), void *arg);

#endif
