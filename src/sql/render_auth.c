/* SPDX-License-Identifier: PostgreSQL
 * See render.h: the look-up function of one [auth] section. */
#include "config.h"
#include "sql/render.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "sql/ident.h"
#include "sql/template.h"
#include "sql/text.h"

/* "schema.table" of the configuration, once as names and once as SQL. */
struct table {
	char *schema, *name;
	struct buf sql;
};

static bool table_read(struct table *t, const char *setting, const char *text, struct buf *error)
{
	*t = (struct table){0};
	buf_init(&t->sql, RENDER_MAX);
	if (!watch_parse_table(setting, text, &t->schema, &t->name, error))
		return false;
	ident_add_table(&t->sql, t->schema, t->name);
	return true;
}

static void table_free(struct table *t)
{
	free(t->schema);
	free(t->name);
	buf_free(&t->sql);
}

static void add_role_array(struct buf *out, const struct render_auth *a)
{
	buf_str(out, "ARRAY[");
	for (size_t i = 0; i < a->n_roles; i++) {
		buf_str(out, i ? ", " : "");
		ident_add_literal(out, a->roles[i]);
	}
	buf_str(out, "]::text[]");
}

static void grant(struct render_grants *g, const struct table *t, const char *column)
{
	render_grants_add(g, t->schema, t->name, column);
}

/* Group names are compared with the configured roles only: a group "staff" is no role. */
static bool add_group_role(struct buf *out, const struct render_auth *a, struct render_grants *g,
			   struct buf *error)
{
	struct table groups, members = {0};
	bool ok = table_read(&groups, "group_table", a->group_table, error) &&
		  table_read(&members, "membership_table", a->membership_table, error);

	if (ok) {
		grant(g, &groups, "id");
		grant(g, &groups, "name");
		grant(g, &members, a->membership_user);
		grant(g, &members, a->membership_group);
		buf_str(out, "(SELECT g.name::text\n FROM ");
		buf_str(out, buf_cstr(&members.sql));
		buf_str(out, " AS m JOIN ");
		buf_str(out, buf_cstr(&groups.sql));
		buf_str(out, " AS g ON g.id = m.");
		ident_add(out, a->membership_group);
		buf_str(out, "\n WHERE m.");
		ident_add(out, a->membership_user);
		buf_str(out, " = u.");
		ident_add(out, a->user_key);
		buf_str(out, " AND g.name::text = ANY (");
		add_role_array(out, a);
		buf_str(out, ")\n ORDER BY array_position(");
		add_role_array(out, a);
		buf_str(out, ", g.name::text)\n LIMIT 1)");
	}
	table_free(&groups);
	table_free(&members);
	return ok;
}

static bool add_role(struct buf *out, const struct render_auth *a, const struct table *users,
		     struct render_grants *g, struct buf *error)
{
	switch (a->role_from) {
	case RENDER_ROLE_GROUPS:
		return add_group_role(out, a, g, error);
	case RENDER_ROLE_STAFF:
		grant(g, users, "is_staff");
		buf_str(out, "CASE WHEN u.is_staff THEN ");
		ident_add_literal(out, a->staff_role);
		buf_str(out, " ELSE ");
		ident_add_literal(out, a->other_role);
		buf_str(out, " END");
		return true;
	case RENDER_ROLE_COLUMN:
		break;
	}
	grant(g, users, a->role_column);
	buf_str(out, "u.");
	ident_add(out, a->role_column);
	buf_str(out, "::text");
	return true;
}

enum part {
	PART_FUNCTION,
	PART_NAME,
	PART_GRANTS,
	PART_STAMP,
	PART_ROLE,
	PART_ACTIVE,
	PART_USER_KEY,
	PART_TOKEN_COLUMN,
	PART_TOKEN_USER,
	N_PARTS,
};

static const char *const part_names[N_PARTS] = {
	"function", "name_comment", "grants",	    "stamp",	  "role",
	"active",   "user_key",	    "token_column", "token_user",
};

static bool fill_parts(struct buf *parts, const struct render_auth *a, const struct table *tokens,
		       const struct table *users, struct buf *error)
{
	struct render_grants *g = render_grants_new();
	autofree char *function = xasprintf("auth_%s", a->name);
	autobuf literal;
	bool ok;

	buf_init(&literal, RENDER_MAX);
	grant(g, tokens, a->token_column);
	grant(g, tokens, a->token_user);
	grant(g, users, a->user_key);
	if (a->user_active && *a->user_active) {
		grant(g, users, a->user_active);
		buf_str(&parts[PART_ACTIVE], "coalesce(u.");
		ident_add(&parts[PART_ACTIVE], a->user_active);
		buf_str(&parts[PART_ACTIVE], ", false)");
	} else {
		buf_str(&parts[PART_ACTIVE], "true");
	}
	ok = add_role(&parts[PART_ROLE], a, users, g, error);
	render_grants_finish(g, &parts[PART_GRANTS]);
	ident_add(&parts[PART_FUNCTION], function);
	render_comment(&parts[PART_NAME], a->name);
	ident_add_literal(&literal, function);
	render_stamp(&parts[PART_STAMP], buf_cstr(&literal));
	ident_add(&parts[PART_USER_KEY], a->user_key);
	ident_add(&parts[PART_TOKEN_COLUMN], a->token_column);
	ident_add(&parts[PART_TOKEN_USER], a->token_user);
	return ok;
}

bool render_auth(struct buf *out, const struct render_auth *a, struct buf *error)
{
	struct buf parts[N_PARTS];
	struct slot slots[N_PARTS + 4];
	struct table tokens, users = {0};
	bool ok;

	for (size_t i = 0; i < N_PARTS; i++)
		buf_init(&parts[i], RENDER_MAX);
	ok = table_read(&tokens, "token_table", a->token_table, error) &&
	     table_read(&users, "user_table", a->user_table, error) &&
	     fill_parts(parts, a, &tokens, &users, error);
	if (ok) {
		for (size_t i = 0; i < N_PARTS; i++)
			slots[i] = (struct slot){part_names[i], buf_cstr(&parts[i])};
		slots[N_PARTS] = (struct slot){"token_table", buf_cstr(&tokens.sql)};
		slots[N_PARTS + 1] = (struct slot){"user_table", buf_cstr(&users.sql)};
		slots[N_PARTS + 2] = (struct slot){"version", PACKAGE_VERSION};
		slots[N_PARTS + 3] = (struct slot){NULL, NULL};
		template_fill(out, sql_auth, slots);
	}
	for (size_t i = 0; i < N_PARTS; i++)
		buf_free(&parts[i]);
	table_free(&tokens);
	table_free(&users);
	return ok;
}
