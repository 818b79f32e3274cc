/* SPDX-License-Identifier: PostgreSQL
 * Who is connected, over all workers: for /stats, for the limit per user and the limit in all.
 * Its own lock; touched when a stream opens or closes, never per event. */
#ifndef PGHERALD_HUB_REGISTRY_H
#define PGHERALD_HUB_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"

struct registry;

enum registry_verdict { REGISTRY_OK, REGISTRY_FULL, REGISTRY_USER_FULL };

struct registry *registry_new(void);
void registry_free(struct registry *r);
/* Limits of 0 mean none. Lowering them closes nothing. */
void registry_limit(struct registry *r, uint64_t max_streams, uint64_t max_per_user);
enum registry_verdict registry_enter(struct registry *r, const char *user_id) MUST_CHECK;
/* Whether it is time to ask the user's streams whether their clients are still there: when that has
 * not been done for `every_ms`. Then it counts as done now. */
bool registry_probes(struct registry *r, const char *user_id, uint64_t now_ms,
		     uint64_t every_ms) MUST_CHECK;
void registry_leave(struct registry *r, const char *user_id);
/* Counts one more at a place, unless there are `max`: a route, or an address on one. False then. */
bool registry_sit(struct registry *r, const char *place, uint64_t max) MUST_CHECK;
void registry_rise(struct registry *r, const char *place);
size_t registry_streams(struct registry *r);
/* Calls `each` for every user with at least one stream, in no particular order, under the lock. */
void registry_each(struct registry *r, void (*each)(void *arg, const char *user_id, size_t n),
		   void *arg);

#endif
