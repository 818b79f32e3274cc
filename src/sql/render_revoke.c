/* SPDX-License-Identifier: PostgreSQL
 * See render_auth.h: whose rights a change of the tables of users and groups concerns. */
#include "config.h"
#include "sql/render_auth.h"

#include "sql/ident.h"

static void add_right(struct buf *out, const char *column)
{
	buf_str(out, out->len ? ", to_jsonb(r)->" : "to_jsonb(r)->");
	ident_add_literal(out, column);
}

void render_revoke_rights(struct buf *out, const struct render_auth *a)
{
	if (a->user_active && *a->user_active)
		add_right(out, a->user_active);
	if (a->role_from == RENDER_ROLE_STAFF)
		add_right(out, "is_staff");
	else if (a->role_from == RENDER_ROLE_COLUMN)
		add_right(out, a->role_column);
	if (a->sessions) /* another password ends them */
		add_right(out, a->user_password);
	if (!out->len)
		buf_str(out, "NULL");
}

static void add_group_case(struct buf *out, const struct render_auth *a, const char *what,
			   const char *rows, const struct auth_table *members)
{
	buf_printf(out, "%sWHEN '%s' THEN\n  users := ARRAY(SELECT DISTINCT ", out->len ? "\n" : "",
		   what);
	if (members) { /* the members of the groups in these rows */
		auth_column_add(out, "m", a->membership_user);
		buf_printf(out, "::text FROM %s AS m\n                 WHERE ",
			   buf_cstr(&members->sql));
		auth_column_add(out, "m", a->membership_group);
		buf_printf(out, "::text IN (%s)\n                 LIMIT max_users + 1);", rows);
		return;
	}
	buf_str(out, "r->>");
	ident_add_literal(out, a->membership_user);
	buf_printf(out, " FROM (%s) AS changed(r)\n                 LIMIT max_users + 1);", rows);
}

bool render_revoke_groups(struct buf *out, const struct render_auth *a, struct buf *error)
{
	static const char olds[] = "SELECT to_jsonb(o) FROM old_rows AS o",
			  news[] = "SELECT to_jsonb(n) FROM new_rows AS n",
			  both[] = "SELECT to_jsonb(o) FROM old_rows AS o\n"
				   "      UNION ALL SELECT to_jsonb(n) FROM new_rows AS n",
			  gone[] = "SELECT to_jsonb(o)->>'id' FROM old_rows AS o",
			  renamed[] = "SELECT g.id FROM (\n"
				      "      SELECT to_jsonb(o)->>'id' AS id, to_jsonb(o)->'name' "
				      "FROM old_rows AS o EXCEPT\n"
				      "      SELECT to_jsonb(n)->>'id', to_jsonb(n)->'name' "
				      "FROM new_rows AS n) AS g";
	struct auth_table members;
	bool ok = auth_table_read(&members, "membership_table", a->membership_table, error);

	if (ok) {
		add_group_case(out, a, "membership INSERT", news, NULL);
		add_group_case(out, a, "membership UPDATE", both, NULL);
		add_group_case(out, a, "membership DELETE", olds, NULL);
		add_group_case(out, a, "group UPDATE", renamed, &members);
		add_group_case(out, a, "group DELETE", gone, &members);
	}
	auth_table_free(&members);
	return ok;
}

void render_revoke_table(struct buf *out, const struct auth_table *t, const char *holds,
			 const char *events)
{
	autobuf name;

	buf_init(&name, RENDER_MAX);
	ident_add_literal(&name, buf_cstr(&t->sql));
	buf_printf(out, "%s(%s::pg_catalog.regclass, '%s', '%s')", out->len ? ",\n" : "",
		   buf_cstr(&name), holds, events);
}

bool render_revoke_group_tables(struct buf *out, const struct render_auth *a, struct buf *error)
{
	struct auth_table groups, members = {0};
	bool ok = auth_table_read(&groups, "group_table", a->group_table, error) &&
		  auth_table_read(&members, "membership_table", a->membership_table, error);

	if (ok) {
		render_revoke_table(out, &members, "membership", "iudt");
		render_revoke_table(out, &groups, "group", "udt");
	}
	auth_table_free(&groups);
	auth_table_free(&members);
	return ok;
}
