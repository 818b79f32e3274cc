/* SPDX-License-Identifier: PostgreSQL
 * Between render_auth.c, the look-up of an [auth], and render_revoke.c, what tells of revocation.
 */
#ifndef PGHERALD_SQL_RENDER_AUTH_H
#define PGHERALD_SQL_RENDER_AUTH_H

#include "sql/render.h"

/* "schema.table" of the configuration, once as names and once as SQL. */
struct auth_table {
	char *schema, *name;
	struct buf sql;
};

/* False with `error` when `text`, the value of `setting`, names no table. Free it in any case. */
bool auth_table_read(struct auth_table *t, const char *setting, const char *text,
		     struct buf *error) MUST_CHECK;
void auth_table_free(struct auth_table *t);
/* ALIAS.COLUMN, quoted; its text, whatever its type; the condition that it can be read as it is. */
void auth_column_add(struct buf *out, const char *alias, const char *column);
void auth_text_add(struct buf *out, const char *alias, const char *column);
void auth_plain_add(struct buf *out, const char *alias, const char *column);

/* What makes an update of a user's row more than a login. */
void render_revoke_rights(struct buf *out, const struct render_auth *a);
/* The cases of the revoke function that are about groups. */
bool render_revoke_groups(struct buf *out, const struct render_auth *a,
			  struct buf *error) MUST_CHECK;
/* One more table with triggers, what it holds and the letters of the events. */
void render_revoke_table(struct buf *out, const struct auth_table *t, const char *holds,
			 const char *events);
/* The tables of groups and members. */
bool render_revoke_group_tables(struct buf *out, const struct render_auth *a,
				struct buf *error) MUST_CHECK;

/* The refusal where the tables of all sections are not one role's, nor of those that are trusted.
 * False with `error` when a table's name cannot be read. */
bool auth_owners_add(struct buf *out, const struct render_auth *a, struct buf *error) MUST_CHECK;

#endif
