/* SPDX-License-Identifier: PostgreSQL
 * See room.h. */
#include "config.h"
#include "hub/room.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

struct room_user {
	UT_hash_handle hh;
	size_t bytes; /* of all his parts; never 0 */
	char id[];
};

static bool take(struct room *r, struct room_part *p, const char *id, size_t bytes)
{
	struct room_user *u;

	HASH_FIND_STR(r->users, id, u);
	if (bytes > ROOM_SHARE - (u ? u->bytes : 0))
		return false;
	if (!u) {
		size_t len = strlen(id);

		u = xcalloc(1, sizeof(*u) + len + 1);
		memcpy(u->id, id, len);
		HASH_ADD_KEYPTR(hh, r->users, u->id, len, u);
	}
	u->bytes += bytes;
	*p = (struct room_part){.user = u, .bytes = bytes};
	return true;
}

bool room_take(struct room *r, struct room_part *p, const char *user, size_t bytes)
{
	assert(!p->user);
	if (!bytes)
		return true;
	if (bytes > ROOM_MAX - r->bytes || !take(r, p, user, bytes))
		return false;
	r->bytes += bytes;
	return true;
}

bool room_take_half(struct room *r, struct room_part *p, const char *user, size_t bytes)
{
	if (bytes == p->bytes)
		return true;
	room_give(r, p);
	if (!bytes)
		return true;
	if (!take(r, p, user, bytes))
		return false;
	p->half = true;
	return true;
}

void room_give(struct room *r, struct room_part *p)
{
	struct room_user *u = p->user;

	if (!u)
		return;
	if (!p->half)
		r->bytes -= p->bytes;
	u->bytes -= p->bytes;
	if (!u->bytes) {
		HASH_DEL(r->users, u);
		free(u);
	}
	*p = (struct room_part){0};
}
