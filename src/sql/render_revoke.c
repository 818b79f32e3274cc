/* SPDX-License-Identifier: PostgreSQL
 * See render_auth.h: whose rights a change of the tables of users and groups concerns. */
#include "config.h"
#include "sql/render_auth.h"

#include "sql/ident.h"

static void add_right(struct buf *out, const char *column)
{
	buf_str(out, out->len ? ", " : "ROW(");
	auth_column_add(out, "r", column);
}

/* A row as text: by the output functions of its columns, whatever casts they have. */
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
	buf_str(out, out->len ? ")::text" : "NULL");
}

/* Users of the rows of the membership table. */
static void add_member_case(struct buf *out, const struct render_auth *a, const char *what,
			    const char *rows)
{
	buf_printf(out, "%sWHEN 'membership %s' THEN\n  users := ARRAY(SELECT DISTINCT ",
		   out->len ? "\n" : "", what);
	auth_text_add(out, "r", a->membership_user);
	buf_printf(out, " FROM %s AS r LIMIT it.max_users + 1);", rows);
}

/* The members of the groups `ids`: everybody when they cannot be had at once, or not without a
 * conflict, as in look.sql. */
static void add_group_case(struct buf *out, const struct render_auth *a, const char *what,
			   const char *ids, const struct auth_table *members)
{
	buf_printf(out,
		   "\nWHEN 'group %s' THEN\n"
		   "  IF EXISTS (%s) THEN\n"
		   "    users := NULL;\n"
		   "    IF current_setting('transaction_isolation') <> 'serializable' THEN\n"
		   "      BEGIN\n"
		   "        PERFORM set_config('lock_timeout', '5ms', true);\n"
		   "        users := ARRAY(SELECT DISTINCT ",
		   what, ids);
	auth_text_add(out, "m", a->membership_user);
	buf_printf(out, " FROM %s AS m\n                       WHERE ", buf_cstr(&members->sql));
	auth_text_add(out, "m", a->membership_group);
	buf_printf(out,
		   "\n                             IN (%s)\n"
		   "                       LIMIT it.max_users + 1);\n"
		   "        RAISE 'undo this';\n"
		   "      EXCEPTION WHEN OTHERS OR assert_failure THEN\n"
		   "        NULL;\n"
		   "      END;\n"
		   "    END IF;\n"
		   "  END IF;",
		   ids);
}

bool render_revoke_groups(struct buf *out, const struct render_auth *a, struct buf *error)
{
	static const char both[] = "(SELECT * FROM old_rows UNION ALL SELECT * FROM new_rows)",
			  gone[] = "SELECT pgherald.as_text(r.id) FROM old_rows AS r",
			  renamed[] =
				  "SELECT g.id FROM (\n"
				  "      SELECT pgherald.as_text(r.id) AS id, ROW(r.name)::text "
				  "FROM old_rows AS r EXCEPT\n"
				  "      SELECT pgherald.as_text(r.id), ROW(r.name)::text "
				  "FROM new_rows AS r) AS g";
	struct auth_table members;
	bool ok = auth_table_read(&members, "membership_table", a->membership_table, error);

	if (ok) {
		add_member_case(out, a, "INSERT", "new_rows");
		add_member_case(out, a, "UPDATE", both);
		add_member_case(out, a, "DELETE", "old_rows");
		add_group_case(out, a, "UPDATE", renamed, &members);
		add_group_case(out, a, "DELETE", gone, &members);
	}
	auth_table_free(&members);
	return ok;
}

void render_revoke_table(struct buf *out, const struct auth_table *t, const char *holds,
			 const char *events)
{
	autobuf name = {0};

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
