/* SPDX-License-Identifier: PostgreSQL
 * See render.h: the look-up function of one [auth] section. */
#include "config.h"
#include "sql/render.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "sql/ident.h"
#include "sql/render_auth.h"
#include "sql/template.h"
#include "sql/text.h"

bool auth_table_read(struct auth_table *t, const char *setting, const char *text, struct buf *error)
{
	*t = (struct auth_table){0};
	buf_init(&t->sql, RENDER_MAX);
	if (!watch_parse_table(setting, text, &t->schema, &t->name, error))
		return false;
	ident_add_table(&t->sql, t->schema, t->name);
	return true;
}

void auth_table_free(struct auth_table *t)
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

static void grant(struct render_grants *g, const struct auth_table *t, const char *column)
{
	render_grants_add(g, t->schema, t->name, column);
}

/* Group names are compared with the configured roles only: a group "staff" is no role. */
static bool add_group_role(struct buf *out, const struct render_auth *a, struct render_grants *g,
			   struct buf *error)
{
	struct auth_table groups, members = {0};
	bool ok = auth_table_read(&groups, "group_table", a->group_table, error) &&
		  auth_table_read(&members, "membership_table", a->membership_table, error);

	if (ok) {
		grant(g, &groups, "id");
		grant(g, &groups, "name");
		grant(g, &members, a->membership_user);
		grant(g, &members, a->membership_group);
		buf_str(out, "(SELECT pgherald.as_text(g.name)\n FROM ");
		buf_str(out, buf_cstr(&members.sql));
		buf_str(out, " AS m JOIN ");
		buf_str(out, buf_cstr(&groups.sql));
		buf_str(out, " AS g ON g.id = m.");
		ident_add(out, a->membership_group);
		buf_str(out, "\n WHERE m.");
		ident_add(out, a->membership_user);
		buf_str(out, " = u.");
		ident_add(out, a->user_key);
		buf_str(out, " AND pgherald.as_text(g.name) = ANY (");
		add_role_array(out, a);
		buf_str(out, ")\n   AND ");
		auth_plain_add(out, "g", "id");
		buf_str(out, "\n   AND ");
		auth_plain_add(out, "m", a->membership_group);
		buf_str(out, "\n   AND ");
		auth_plain_add(out, "m", a->membership_user);
		buf_str(out, "\n ORDER BY array_position(");
		add_role_array(out, a);
		buf_str(out, ", pgherald.as_text(g.name))\n LIMIT 1)");
	}
	auth_table_free(&groups);
	auth_table_free(&members);
	return ok;
}

static bool add_role(struct buf *out, const struct render_auth *a, const struct auth_table *users,
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
	auth_text_add(out, "u", a->role_column);
	return true;
}

enum part {
	PART_FUNCTION,
	PART_FUNCTION_LITERAL,
	PART_USERS_FUNCTION,
	PART_USER_FUNCTION,
	PART_RESULT_LITERAL,
	PART_REVOKE,
	PART_REVOKE_LITERAL,
	PART_REVOKE_IDENT_LITERAL,
	PART_FUNCTIONS,
	PART_NAME,
	PART_NAME_LITERAL,
	PART_LOGIN,
	PART_GRANTS,
	PART_STAMP,
	PART_ROLE,
	PART_ACTIVE,
	PART_EXPIRES,
	PART_PLAIN,
	PART_USERS_PLAIN,
	PART_USER_KEY,
	PART_USER_PASSWORD,
	PART_USER_RIGHTS,
	PART_TOKEN_USER,
	PART_TOKEN_MATCH,
	PART_TOKEN_VALID,
	PART_ROW_USER_KEY,
	PART_ROW_TOKEN,
	PART_ROW_TOKEN_USER,
	PART_ROW_SESSION_DATA,
	PART_ROW_EXPIRES,
	PART_CHANNELS,
	PART_CHANNELS_RESULT,
	PART_ROW_CHANNELS,
	PART_WAS_CHANNELS,
	PART_IS_NOW_CHANNELS,
	PART_GROUP_CASES,
	PART_WATCHED,
	N_PARTS,
};

static const char *const part_names[N_PARTS] = {
	[PART_FUNCTION] = "function",
	[PART_FUNCTION_LITERAL] = "function_literal",
	[PART_USERS_FUNCTION] = "users_function",
	[PART_USER_FUNCTION] = "user_function",
	[PART_RESULT_LITERAL] = "result_literal",
	[PART_REVOKE] = "revoke",
	[PART_REVOKE_LITERAL] = "revoke_literal",
	[PART_REVOKE_IDENT_LITERAL] = "revoke_ident_literal",
	[PART_FUNCTIONS] = "functions",
	[PART_NAME] = "name_comment",
	[PART_NAME_LITERAL] = "name_literal",
	[PART_LOGIN] = "login",
	[PART_GRANTS] = "grants",
	[PART_STAMP] = "stamp",
	[PART_ROLE] = "role",
	[PART_ACTIVE] = "active",
	[PART_EXPIRES] = "expires",
	[PART_PLAIN] = "plain",
	[PART_USERS_PLAIN] = "users_plain",
	[PART_USER_KEY] = "user_key",
	[PART_USER_PASSWORD] = "user_password",
	[PART_USER_RIGHTS] = "user_rights",
	[PART_TOKEN_USER] = "token_user",
	[PART_TOKEN_MATCH] = "token_match",
	[PART_TOKEN_VALID] = "token_valid",
	[PART_ROW_USER_KEY] = "row_user_key",
	[PART_ROW_TOKEN] = "row_token",
	[PART_ROW_TOKEN_USER] = "row_token_user",
	[PART_ROW_SESSION_DATA] = "row_session_data",
	[PART_ROW_EXPIRES] = "row_expires",
	[PART_CHANNELS] = "channels",
	[PART_CHANNELS_RESULT] = "channels_result",
	[PART_ROW_CHANNELS] = "row_channels",
	[PART_WAS_CHANNELS] = "was_channels",
	[PART_IS_NOW_CHANNELS] = "is_now_channels",
	[PART_GROUP_CASES] = "group_cases",
	[PART_WATCHED] = "watched_tables",
};

void auth_column_add(struct buf *out, const char *alias, const char *column)
{
	buf_str(out, alias);
	buf_char(out, '.');
	ident_add(out, column);
}

void auth_text_add(struct buf *out, const char *alias, const char *column)
{
	buf_str(out, "pgherald.as_text(");
	auth_column_add(out, alias, column);
	buf_char(out, ')');
}

void auth_plain_add(struct buf *out, const char *alias, const char *column)
{
	buf_str(out, "pgherald.only_plain(CASE WHEN false THEN ");
	auth_column_add(out, alias, column);
	buf_str(out, " END)");
}

/* One more condition of a WHERE that has this already. */
static void and_plain(struct buf *out, const char *alias, const char *column)
{
	if (out->len)
		buf_str(out, "\nAND ");
	auth_plain_add(out, alias, column);
}

/* django-rest-knox keeps SHA-512 in hex: since 5.0 of the token's text, before of the bytes that
 * the text spells. */
static void add_token_match(struct buf *out, const struct render_auth *a)
{
	auth_column_add(out, "t", a->token_column);
	if (a->hash == RENDER_HASH_NONE) {
		buf_str(out, " = asked.token");
		return;
	}
	if (a->hash == RENDER_HASH_SHA256) {
		buf_str(out, " = encode(sha256(convert_to(asked.token, 'UTF8')), 'hex')");
		return;
	}
	buf_str(out, " IN (\n  encode(sha512(convert_to(asked.token, 'UTF8')), 'hex'),\n"
		     "  CASE WHEN asked.token ~ '^([0-9a-fA-F]{2})+$'\n"
		     "       THEN encode(sha512(decode(asked.token, 'hex')), 'hex') END)");
}

static void add_expiry(struct buf *parts, const struct render_auth *a,
		       const struct auth_table *tokens, struct render_grants *g)
{
	if (a->users || !a->token_expires || !*a->token_expires) {
		buf_str(&parts[PART_EXPIRES], "NULL");
		buf_str(&parts[PART_ROW_EXPIRES], "NULL");
		return;
	}
	grant(g, tokens, a->token_expires);
	auth_column_add(&parts[PART_EXPIRES], "t", a->token_expires);
	auth_text_add(&parts[PART_ROW_EXPIRES], "r", a->token_expires);
	and_plain(&parts[PART_PLAIN], "t", a->token_expires);
	buf_printf(&parts[PART_TOKEN_VALID], "AND (%s IS NULL OR %s > now())",
		   buf_cstr(&parts[PART_EXPIRES]), buf_cstr(&parts[PART_EXPIRES]));
}

static bool has_channels(const struct render_auth *a)
{
	return !a->users && !a->sessions && a->token_channels && *a->token_channels;
}

/* The channels of a token, as text, in what is looked up and in what tells of a change. */
static void add_channels(struct buf *parts, const struct render_auth *a,
			 const struct auth_table *tokens, struct render_grants *g)
{
	if (!has_channels(a))
		return;
	grant(g, tokens, a->token_channels);
	buf_str(&parts[PART_CHANNELS], ",\n");
	auth_text_add(&parts[PART_CHANNELS], "t", a->token_channels);
	buf_str(&parts[PART_CHANNELS_RESULT], ", channels text");
	buf_str(&parts[PART_ROW_CHANNELS], ", ");
	auth_text_add(&parts[PART_ROW_CHANNELS], "r", a->token_channels);
	buf_str(&parts[PART_ROW_CHANNELS], " AS channels");
	buf_str(&parts[PART_WAS_CHANNELS], ", was.channels");
	buf_str(&parts[PART_IS_NOW_CHANNELS], ", is_now.channels");
}

/* The names of our functions, in every spelling. */
static void add_names(struct buf *parts, const struct render_auth *a)
{
	autofree char *function = xasprintf("auth_%s", a->name);
	autofree char *users = xasprintf("session_%s", a->name);
	autofree char *user = xasprintf("who_%s", a->name);
	autofree char *revoke = xasprintf("revoke_%s", a->name);
	autobuf text = {0};

	buf_init(&text, RENDER_MAX);
	ident_add(&parts[PART_FUNCTION], function);
	ident_add(&parts[PART_USERS_FUNCTION], users);
	ident_add(&parts[PART_USER_FUNCTION], user);
	ident_add(&parts[PART_REVOKE], revoke);
	ident_add_literal(&parts[PART_RESULT_LITERAL],
			  a->sessions ? "TABLE(n integer, session_data text,"
					" expires timestamp with time zone)"
			  : has_channels(a)
				  ? "TABLE(n integer, user_id text, role text, active boolean,"
				    " expires timestamp with time zone, channels text)"
				  : "TABLE(n integer, user_id text, role text, active boolean,"
				    " expires timestamp with time zone)");
	buf_printf(&text, "pgherald.%s(text[])", buf_cstr(&parts[PART_FUNCTION]));
	ident_add_literal(&parts[PART_FUNCTION_LITERAL], buf_cstr(&text));
	buf_clear(&text);
	buf_printf(&text, "pgherald.%s()", buf_cstr(&parts[PART_REVOKE]));
	ident_add_literal(&parts[PART_REVOKE_LITERAL], buf_cstr(&text));
	ident_add_literal(&parts[PART_REVOKE_IDENT_LITERAL], buf_cstr(&parts[PART_REVOKE]));
	render_comment(&parts[PART_NAME], a->name);
	ident_add_literal(&parts[PART_NAME_LITERAL], a->name);
	buf_clear(&text);
	ident_add_literal(&text, function);
	if (!a->users) {
		buf_str(&text, ", ");
		ident_add_literal(&text, a->sessions ? users : user);
	}
	buf_str(&text, ", ");
	ident_add_literal(&text, revoke);
	buf_str(&parts[PART_FUNCTIONS], buf_cstr(&text));
	render_stamp(&parts[PART_STAMP], buf_cstr(&text));
	ident_add(&parts[PART_LOGIN], a->login);
}

/* What is read as it is, and not as text: who could put code behind its type? */
static void add_plain(struct buf *parts, const struct render_auth *a)
{
	struct buf *token = &parts[PART_PLAIN], *user = &parts[PART_USERS_PLAIN];

	and_plain(user, "u", a->user_key);
	if (a->user_active && *a->user_active)
		and_plain(user, "u", a->user_active);
	if (a->role_from == RENDER_ROLE_STAFF)
		and_plain(user, "u", "is_staff");
	if (!a->users)
		and_plain(token, "t", a->token_column);
	if (a->sessions || a->users)
		return;
	and_plain(token, "t", a->token_user);
	buf_printf(token, "\nAND %s", buf_cstr(user));
}

static bool fill_parts(struct buf *parts, const struct render_auth *a,
		       const struct auth_table *tokens, const struct auth_table *users,
		       struct buf *error)
{
	struct render_grants *g = render_grants_new("pgherald_auth");
	bool ok;

	add_plain(parts, a);
	if (!a->users) {
		grant(g, tokens, a->token_column);
		grant(g, tokens, a->sessions ? "session_data" : a->token_user);
	}
	grant(g, users, a->user_key);
	if (a->sessions) {
		grant(g, users, a->user_password);
		ident_add(&parts[PART_USER_PASSWORD], a->user_password);
	}
	if (a->user_active && *a->user_active) {
		grant(g, users, a->user_active);
		buf_str(&parts[PART_ACTIVE], "coalesce(");
		auth_column_add(&parts[PART_ACTIVE], "u", a->user_active);
		buf_str(&parts[PART_ACTIVE], ", false)");
	} else {
		buf_str(&parts[PART_ACTIVE], "true");
	}
	add_expiry(parts, a, tokens, g);
	add_channels(parts, a, tokens, g);
	ok = add_role(&parts[PART_ROLE], a, users, g, error);
	render_grants_stored(g, &parts[PART_GRANTS]);
	render_grants_finish(g, &parts[PART_GRANTS]);
	render_grants_free(g);
	add_names(parts, a);
	ident_add(&parts[PART_USER_KEY], a->user_key);
	auth_text_add(&parts[PART_ROW_USER_KEY], "r", a->user_key);
	auth_text_add(&parts[PART_ROW_TOKEN], "r", a->token_column);
	auth_text_add(&parts[PART_ROW_TOKEN_USER], "r", a->token_user);
	auth_text_add(&parts[PART_ROW_SESSION_DATA], "r", "session_data");
	render_revoke_rights(&parts[PART_USER_RIGHTS], a);
	ident_add(&parts[PART_TOKEN_USER], a->token_user);
	add_token_match(&parts[PART_TOKEN_MATCH], a);
	if (!a->users)
		render_revoke_table(&parts[PART_WATCHED], tokens, "token", "udt");
	render_revoke_table(&parts[PART_WATCHED], users, "user", "udt");
	if (ok && a->role_from == RENDER_ROLE_GROUPS)
		ok = render_revoke_groups(&parts[PART_GROUP_CASES], a, error) &&
		     render_revoke_group_tables(&parts[PART_WATCHED], a, error);
	return ok;
}

/* Besides the look-up by token one by user: what somebody would hear is asked by his name. */
static void add_lookups(struct buf *out, const struct render_auth *a, const struct buf *parts,
			struct slot *slots)
{
	const char *user = buf_cstr(&parts[PART_USER_FUNCTION]),
		   *login = buf_cstr(&parts[PART_LOGIN]);

	template_fill_within(out,
			     a->sessions ? sql_auth_session
			     : a->users	 ? sql_auth_user
					 : sql_auth_token,
			     slots);
	if (a->sessions || a->users)
		return;
	slots[PART_FUNCTION].value = user;
	buf_char(out, '\n');
	template_fill_within(out, sql_auth_user, slots);
	slots[PART_FUNCTION].value = buf_cstr(&parts[PART_FUNCTION]);
	buf_printf(out, "\nREVOKE ALL ON FUNCTION pgherald.%s(text[]) FROM PUBLIC;\n", user);
	buf_printf(out, "GRANT EXECUTE ON FUNCTION pgherald.%s(text[]) TO %s;\n", user, login);
}

bool render_auth(struct buf *out, const struct render_auth *a, struct buf *error)
{
	struct buf parts[N_PARTS], begin, lookup, cases, tables_only;
	autobuf owners = {0};
	struct slot slots[N_PARTS + 10];
	struct auth_table tokens, users = {0};
	bool ok;

	for (size_t i = 0; i < N_PARTS; i++)
		buf_init(&parts[i], RENDER_MAX);
	buf_init(&owners, RENDER_MAX);
	ok = auth_owners_add(&owners, a, error);
	ok = auth_table_read(&tokens, "token_table", a->token_table, error) &&
	     auth_table_read(&users, "user_table", a->user_table, error) &&
	     fill_parts(parts, a, &tokens, &users, error) && ok;
	if (ok) {
		for (size_t i = 0; i < N_PARTS; i++)
			slots[i] = (struct slot){part_names[i], buf_cstr(&parts[i])};
		slots[N_PARTS] = (struct slot){"token_table", buf_cstr(&tokens.sql)};
		slots[N_PARTS + 1] = (struct slot){"user_table", buf_cstr(&users.sql)};
		slots[N_PARTS + 2] = (struct slot){"version", PACKAGE_VERSION};
		slots[N_PARTS + 3] = (struct slot){"may_ring", render_may_ring(a->doorbell)};
		slots[N_PARTS + 4] = (struct slot){NULL, NULL};
		render_begin(&begin);
		buf_init(&lookup, RENDER_MAX);
		add_lookups(&lookup, a, parts, slots);
		buf_init(&cases, RENDER_MAX);
		template_fill_within(&cases,
				     a->sessions ? sql_revoke_session
				     : a->users	 ? ""
						 : sql_revoke_token,
				     slots);
		buf_init(&tables_only, RENDER_MAX);
		template_fill_within(&tables_only, sql_tables_only, slots);
		slots[N_PARTS + 4] = (struct slot){"lookup", buf_cstr(&lookup)};
		slots[N_PARTS + 5] = (struct slot){"token_cases", buf_cstr(&cases)};
		slots[N_PARTS + 6] = (struct slot){"begin", buf_cstr(&begin)};
		slots[N_PARTS + 7] = (struct slot){"tables_only", buf_cstr(&tables_only)};
		slots[N_PARTS + 8] = (struct slot){"auth_owners", buf_cstr(&owners)};
		slots[N_PARTS + 9] = (struct slot){NULL, NULL};
		template_fill(out, sql_auth, slots);
		buf_free(&tables_only);
		buf_free(&begin);
		buf_free(&lookup);
		buf_free(&cases);
	}
	for (size_t i = 0; i < N_PARTS; i++)
		buf_free(&parts[i]);
	auth_table_free(&tokens);
	auth_table_free(&users);
	return ok;
}
