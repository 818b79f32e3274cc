/* SPDX-License-Identifier: PostgreSQL
 * What of Django there is in a catalog: users, tokens, sessions, groups, what makes a role. Pure.
 */
#ifndef PGHERALD_INIT_DJANGO_H
#define PGHERALD_INIT_DJANGO_H

#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"
#include "init/catalog.h"

/* Places in the catalog, NO_TABLE for what is not there. */
struct django {
	bool found;	    /* there is a table of migrations */
	size_t users;	    /* the user model's table */
	const char *key;    /* what tokens refer to in it */
	const char *active; /* "is_active", or "" */
	const char *role;   /* a column that names a role, or NULL */
	bool staff;	    /* it has is_staff */
	size_t tokens, knox, sessions;
	size_t groups, members; /* auth_group, and who is in one */
	const char *member_user, *member_group;
};

/* Looks at the names that Django and its packages give, and at what foreign keys point at; `users`
 * of a user model of one's own is what the tokens or the admin's log refer to. */
void django_find(const struct catalog *c, struct django *d);
/* Whether the column refers to a user by what he is known by: another unique column of the users is
 * not what the daemon compares with. */
bool django_names_user(const struct django *d, const struct column *col) MUST_CHECK;
/* Whether a table belongs to Django or to a well-known package of it, and not to the application.
 */
bool django_owns(const char *table);
/* Whether a role of this name is likely to see everything ("manager", "admin", …). */
bool django_role_sees_all(const char *role);

#endif
