/* SPDX-License-Identifier: PostgreSQL
 * A worker's room for what clients post and say: bodies and messages that are on their way to the
 * database or still come, and messages of WebSockets that are half said. Nobody gets more than his
 * share. What is half said has no deadline, so it counts in its user's share alone: whoever never
 * ends his sentence keeps nobody else from posting. */
#ifndef PGHERALD_HUB_ROOM_H
#define PGHERALD_HUB_ROOM_H

#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"

#define ROOM_MAX                                                                                   \
	((size_t)16 << 20)	  /* bytes that a worker has at a time, but for what is half said */
#define ROOM_SHARE (ROOM_MAX / 4) /* ... of one user, with what is half said */

struct room_user;

struct room {
	struct room_user *users; /* who has a part */
	size_t bytes;		 /* of all, but for what is half said */
};

/* All 0: none. Whoever has one gives it back before it goes. */
struct room_part {
	struct room_user *user;
	size_t bytes;
	bool half;
};

/* A part for so many bytes, 0 for none; false, and there is none, without room. `p` has none. */
bool room_take(struct room *r, struct room_part *p, const char *user, size_t bytes) MUST_CHECK;
/* What is half said has this size now, 0 for none; false, and there is none, beyond the share. */
bool room_take_half(struct room *r, struct room_part *p, const char *user, size_t bytes) MUST_CHECK;
void room_give(struct room *r, struct room_part *p);

#endif
