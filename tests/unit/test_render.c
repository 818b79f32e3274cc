/* SPDX-License-Identifier: PostgreSQL
 * The rendered SQL, by the fragments that matter; that it works is the system tests' part. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dba/check.h"
#include "sql/ident.h"
#include "sql/render.h"
#include "sql/template.h"
#include "sql/text.h"

static void assert_has(const struct buf *text, const char *fragment)
{
	if (!strstr(buf_cstr(text), fragment))
		fail_msg("not there:\n%s\nin:\n%s", fragment, buf_cstr(text));
}

static void assert_has_not(const struct buf *text, const char *fragment)
{
	if (strstr(buf_cstr(text), fragment))
		fail_msg("there, but should not be:\n%s\nin:\n%s", fragment, buf_cstr(text));
}

/* That a fragment is there, and not before this line is. */
static void assert_behind(const struct buf *text, const char *line, const char *fragment)
{
	assert_has(text, line);
	assert_has(text, fragment);
	assert_true(strstr(buf_cstr(text), fragment) > strstr(buf_cstr(text), line));
}

static void render_one(struct buf *out, const char *table, const char *key, const char *owners,
		       const char *fields, const char *leave)
{
	autobuf error = {0};
	struct watch *w;

	buf_init(&error, 1000);
	buf_init(out, RENDER_MAX);
	w = watch_parse("topic1", table, key, owners, fields, leave, &error);
	if (!w)
		fail_msg("%s", buf_cstr(&error));
	render_watch(out, w, NULL);
	assert_true(buf_ok(out));
	assert_has_not(out, "{{");
	watch_free(w);
}

static void test_names(void **state)
{
	static const char *const cases[][2] = {
		{"id", "id"},
		{"_a1", "_a1"},
		{"user", "\"user\""},
		{"Id", "\"Id\""},
		{"1a", "\"1a\""},
		{"a b", "\"a b\""},
		{"a\"b", "\"a\"\"b\""},
		{"a$", "\"a$\""},
		{"json_table", "\"json_table\""},
		{"all", "\"all\""},
		{"xmltable", "\"xmltable\""},
		{"name", "name"},
		{"großer", "\"großer\""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		autobuf out = {0};

		buf_init(&out, 100);
		ident_add(&out, cases[i][0]);
		assert_string_equal(buf_cstr(&out), cases[i][1]);
	}
}

static void test_literals(void **state)
{
	autobuf out = {0};

	(void)state;
	buf_init(&out, 100);
	ident_add_literal(&out, "it's");
	ident_add_literal(&out, "a\\'b");
	assert_string_equal(buf_cstr(&out), "'it''s' E'a\\\\''b'");
}

static void test_template(void **state)
{
	static const struct slot slots[] = {
		{"one", "1"},
		{"two", "a,\nb"},
		{"none", ""},
		{NULL, NULL},
	};
	autobuf out = {0};

	(void)state;
	buf_init(&out, 1000);
	template_fill(&out,
		      "x {{one}}{{one}} y\n  {{none}}\n  f({{two}})\n{{none}} z\n\n}} {{\nend\n",
		      slots);
	assert_string_equal(buf_cstr(&out), "x 11 y\n  f(a,\n    b)\n z\n\n}} {{\nend\n");
}

static void test_document(void **state)
{
	autobuf out = {0};

	(void)state;
	render_one(&out, "public.api_estimate", "id", "foreman_id",
		   "estimate_id=id, n=project_id->public.api_project.name, "
		   "c=project_id->public.api_project.code::text, at::utc, amount::text, "
		   "who=foreman_id->public.\"User\"(\"Id\").since::utc",
		   NULL);
	assert_has(&out, "THEN (SELECT row_to_json(doc.*) FROM (\n"
			 "                     SELECT it.one->1 AS \"estimate_id\",\n"
			 "                            CASE WHEN jsonb_typeof(it.one->6) = 'array' "
			 "THEN it.one->6->0\n"
			 "                                 ELSE (SELECT "
			 "pgherald.as_jsonb(t.name)\n");
	assert_has(&out, "WHERE CASE WHEN pgherald.plain(CASE WHEN false THEN t.id END, true)\n");
	assert_has(&out, "THEN t.id = (SELECT pgherald.typed((it.one->>2) COLLATE \"default\", "
			 "CASE WHEN false THEN "
			 "t.id END))\n");
	assert_has(&out, "ELSE pgherald.as_text(t.id) COLLATE \"C\" = it.one->>2 END\n");
	assert_has(&out,
		   "LIMIT 1) END AS \"n\",\n"
		   "                            CASE WHEN jsonb_typeof(it.one->6) = 'array' THEN "
		   "it.one->6->>1\n"
		   "                                 ELSE (SELECT pgherald.as_text(t.code)\n");
	assert_has(&out, "LIMIT 1) END AS \"c\",\n"
			 "                            pgherald.utc(it.one->>3) AS \"at\",\n"
			 "                            it.one->>4 AS \"amount\",\n"
			 "                            pgherald.utc(CASE WHEN "
			 "jsonb_typeof(it.one->6) = 'array' THEN it.one->6->>2\n");
	assert_has(&out, "LIMIT 1) END) AS \"who\") AS doc)\n");
	assert_has(
		&out,
		"GRANT USAGE ON SCHEMA public TO pgherald_teller;\n"
		"GRANT SELECT (id, project_id, at, amount, foreman_id) ON public.api_estimate TO "
		"pgherald_teller;\n"
		"GRANT SELECT (id, name, code) ON public.api_project TO pgherald_teller;\n"
		"GRANT SELECT (\"Id\", since) ON public.\"User\" TO pgherald_teller;\n");
	assert_has(&out, "  watched CONSTANT regclass := 'public.api_estimate';\n");
	assert_has(&out,
		   "  FROM unnest(ARRAY['id', 'project_id', 'at', 'amount', 'foreman_id']) AS c "
		   "(name)\n");
	assert_has(&out, "SELECT it.was->1 AS \"estimate_id\") AS doc) END,\n");
	assert_has(&out, "THEN this.id = (SELECT pgherald.typed((o.image->>1) COLLATE \"default\", "
			 "CASE WHEN false "
			 "THEN this.id END))\n");
}

/* The quick way: from a row of a transition table, whose columns have their types. */
static void test_quick_way(void **state)
{
	autobuf out = {0};

	(void)state;
	render_one(&out, "s.t", "id", "foreman_id, id<-s.e.p_id.f_id",
		   "id, n=project_id->s.p.name, c=project_id->s.p.since::utc, at::utc, "
		   "amount::text, Odd=\"Odd One\"",
		   NULL);
	assert_has(&out, "WHERE ROW(past.id, past.project_id, past.at, past.amount, "
			 "past.\"Odd One\", past.foreman_id)::record\n"
			 "            *<> ROW(this.id, ");
	assert_has(&out, "THEN this.id IS NOT DISTINCT FROM past.id\n");
	assert_has(&out, "AND this.foreman_id IS NOT DISTINCT FROM past.foreman_id\n");
	assert_has(&out, "*= ROW(past.id, past.foreman_id)::record END THEN");
	assert_has(
		&out,
		"coalesce(pgherald_own[1]::text[], array_append(CASE WHEN this.foreman_id IS NULL");
	assert_has(&out,
		   "ELSE ARRAY[pgherald.as_text(this.foreman_id) COLLATE \"C\"] END, NULL)),\n");
	/* what stands in other tables is asked of who may read these */
	assert_has(&out, "SELECT unnest(pgherald.owners_topic1(ARRAY[pgherald.as_text(this.id) "
			 "COLLATE \"C\"])))"
			 " AS owners (owner)\n");
	assert_has(&out, "pgherald_names := ARRAY(SELECT pgherald.names_topic1(ARRAY["
			 "pgherald.as_text(this.project_id) COLLATE \"C\"])\n");
	assert_behind(&out, "SET LOCAL ROLE pgherald_teller;", "FROM s.p AS");
	assert_behind(&out, "SET LOCAL ROLE pgherald_teller;", "FROM s.e AS");
	assert_has(&out, "SELECT pgherald.as_text(h1.f_id) COLLATE \"C\"\n");
	assert_has(&out, "THEN h1.p_id = this.id\n");
	assert_has(&out, "THEN h1.p_id = (SELECT pgherald.typed((it.one->>1) COLLATE \"default\", "
			 "CASE WHEN false THEN "
			 "h1.p_id END))");
	assert_has(&out, "THEN h1.p_id = (SELECT pgherald.typed((owners_topic1.keys[1]) COLLATE "
			 "\"default\", CASE WHEN false THEN "
			 "h1.p_id END))");
	assert_has(&out, "ORDER BY owner LIMIT 10001) END AS after,\n");
	assert_has(&out, "this.id, this.project_id, this.at, this.amount, this.\"Odd One\", "
			 "this.foreman_id)\n");
	assert_has(&out, ", pgherald_names[1])\n"); /* of a row that is gone */
	assert_has(&out, "THEN t.id = (SELECT pgherald.typed((names_topic1.keys[1]) COLLATE "
			 "\"default\", CASE WHEN false "
			 "THEN t.id "
			 "END))\n");
	assert_has(&out, "(SELECT pgherald.as_jsonb(t.since)\n");
	assert_has(&out, "('s', 't', 'project_id', false),\n");
	assert_has(&out, "('s', 'p', 'name', false),\n");
	/* of what must be a time, and nowhere else: its text needs no setting */
	assert_has(&out, "FROM (VALUES\n"
			 "            ('s', 'p', 'since', false),\n"
			 "            ('s', 't', 'at', false),\n"
			 "            (NULL, NULL, NULL, NULL)) AS c");
	assert_null(strstr(strstr(buf_cstr(&out), "('s', 't', 'at', false)") + 1,
			   "('s', 't', 'at', false)"));
	buf_free(&out);
	render_one(&out, "s.t", "id", "boss", "id", NULL);
	assert_has(&out, "CASE WHEN this.boss IS NULL THEN '{}'\n");
	assert_has_not(&out, "pgherald_names := ");
	buf_free(&out);
	render_one(&out, "s.t", "id", NULL, "id", NULL);
	assert_has(&out, "             '{}'::text[],\n");
}

/* What the rows of a watch begin with; the caller frees. */
static char *mark_of(const char *key, const char *fields)
{
	autobuf out = {0};
	const char *p;

	render_one(&out, "s.t", key, NULL, fields, NULL);
	p = strstr(buf_cstr(&out), "json_build_array('");
	assert_non_null(p);
	return xstrndup(p + strlen("json_build_array('"), 8);
}

/* Rows are told only to whom they were written for: other columns, another order or other names
 * have another mark; names of fields do not matter. */
static void test_mark(void **state)
{
	static const char *const others[] = {
		"id, b, a",
		"id, a",
		"id, a, b, c",
		"id, ab",
		"id, a, b, n=a->s.p.name",
		"id, a, b, n=b->s.p.name",
		"id, a, b, n=a->s.p.title",
		"id, a, b, n=a->s.p(k).name",
		"id, a, b, n=a->s.q.name",
	};
	enum { N = sizeof(others) / sizeof(*others) };
	char *mark = mark_of("id", "id, a, b"),
	     *same = mark_of("id", "x=id, y=a::text, z=b, b, id");
	char *marks[N];

	(void)state;
	assert_string_equal(mark, same);
	for (size_t i = 0; i < N; i++) {
		marks[i] = mark_of("id", others[i]);
		assert_string_not_equal(marks[i], mark);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(marks[i], marks[j]);
	}
	for (size_t i = 0; i < N; i++)
		free(marks[i]);
	free(mark);
	free(same);
}

static void test_keys(void **state)
{
	autobuf out = {0};

	(void)state;
	render_one(&out, "s.\"T\"", "a, b", NULL, "a, b", NULL);
	assert_has(&out, "replace(replace(pgherald.as_text(this.a) COLLATE \"C\", '~', '~~'), ',', "
			 "'~.') || ',' || "
			 "(pgherald.as_text(this.b) COLLATE \"C\"),\n");
	assert_has(&out, "replace(replace(pgherald.as_text(a) COLLATE \"C\", '~', '~~'), ',', "
			 "'~.') || ',' || "
			 "(pgherald.as_text(b) COLLATE \"C\") AS pk,\n");
	assert_has(&out, "ELSE pgherald.as_text(this.a) COLLATE \"C\" = o.image->>1 END\n");
	assert_has(&out, "ELSE pgherald.as_text(this.b) COLLATE \"C\" = o.image->>2 END\n");
	assert_has(&out, "= 's.\"T\"'::pg_catalog.regclass");
	assert_has(&out, "AFTER TRUNCATE ON s.\"T\"");
	assert_has(&out, "GRANT SELECT (a, b) ON s.\"T\" TO pgherald_teller;");
}

static void test_reverse_owners_and_joined_leave(void **state)
{
	autobuf out = {0};

	(void)state;
	render_one(&out, "s.p", "id", "id<-s.e.p_id.f_id, boss", "id, n=x->s.n.l, m=y->s.n.l", "m");
	assert_has(&out, "SELECT unnest(array_remove(j.own_new, NULL)) AS owner\n");
	assert_has(&out, "GRANT SELECT (p_id, f_id) ON s.e TO pgherald_teller;");
	assert_has(&out, "CASE WHEN o.own <> n.own OR o.via <> n.via THEN o.data END");
	assert_has(&out, "THEN t.id = (SELECT pgherald.typed((it.was->>3) COLLATE \"default\", "
			 "CASE WHEN false THEN t.id END))");
	buf_free(&out);
	render_one(&out, "s.p", "id", "t_id<-s.t.id.m_id<-s.m.id.u_id", "id", NULL);
	assert_has(&out, "SELECT pgherald.as_text(h2.u_id) COLLATE \"C\"\n");
	assert_has(&out, "s.t AS h1\n");
	assert_has(&out, "JOIN s.m AS h2 ON CASE WHEN ");
	assert_has(&out, "THEN h2.id = h1.m_id\n");
	assert_has(&out, "THEN h1.id = (SELECT pgherald.typed((it.one->>2) COLLATE \"default\", "
			 "CASE WHEN false THEN "
			 "h1.id END))");
	assert_has(&out, "THEN h1.id = this.t_id\n");
	assert_has(&out, "pgherald_own := ARRAY(SELECT pgherald.owners_topic1(");
	assert_has(&out, "GRANT SELECT (id, u_id) ON s.m TO pgherald_teller;");
}

static void test_hardening(void **state)
{
	autobuf out = {0};

	(void)state;
	render_one(&out, "s.t", "id", NULL, "id", NULL);
	assert_has(&out, "CREATE OR REPLACE FUNCTION pgherald.on_topic1() RETURNS trigger\n"
			 "LANGUAGE plpgsql SECURITY DEFINER\n"
			 "SET search_path = pg_catalog, pg_temp\n"
			 "SET jit = off ");
	assert_has(&out, "CREATE OR REPLACE FUNCTION pgherald.tell_topic1(places bigint[], written "
			 "pgherald.journal[], whole boolean)\n");
	assert_has(&out, "LANGUAGE plpgsql STABLE SECURITY DEFINER\n"
			 "SET search_path = pg_catalog, pg_temp\n"
			 "SET row_security = off\n");
	assert_has(&out, "SET datestyle = ");
	assert_has(&out, "SET intervalstyle = ");
	assert_has(&out, "SET bytea_output = ");
	assert_has(&out, "REVOKE ALL ON FUNCTION pgherald.on_topic1() FROM PUBLIC;");
	assert_has(&out, "REVOKE ALL ON FUNCTION pgherald.tell_topic1(bigint[], "
			 "pgherald.journal[], boolean),\n"
			 "  pgherald.settle_topic1(bigint[], pgherald.journal[]) FROM PUBLIC;");
	assert_has(&out, "pg_notify('pgherald', '{\"v\":1,\"topic\":\"topic1\"}')");
	assert_has(&out, "SET LOCAL lock_timeout = '2s';");
	assert_has(&out, "p.proname IN ('on_topic1')");
	assert_has(&out, "p.proname IN ('tell_topic1', 'settle_topic1')");
}

static void test_core_and_uninstall(void **state)
{
	struct watch one = {.topic = (char[]){"one"}, .follow = true},
		     two = {.topic = (char[]){"two"}};
	const struct watch *const told[] = {&one, &two};
	autobuf core = {0}, end = {0};

	(void)state;
	buf_init(&core, RENDER_MAX);
	buf_init(&end, RENDER_MAX);
	render_core(&core, &(struct render_core){.login = "My \"login'",
						 .journal_bytes = 1000,
						 .told = told,
						 .n_told = 2});
	render_uninstall(&end, "My \"login'");
	assert_has(&core, "CREATE ROLE \"My \"\"login'\" LOGIN;");
	assert_has(&core, "rolname = 'My \"login'''");
	assert_has(&core, "IF of_topic = 'one' THEN\n"
			  "        RETURN QUERY SELECT * FROM pgherald.settle_one(places, "
			  "pgherald.beside(written));\n");
	assert_has(&core, "IF of_topic = 'two' THEN\n"
			  "        IF often THEN\n"
			  "          RETURN QUERY SELECT * FROM pgherald.settle_two(places, "
			  "written);\n"
			  "        ELSE\n");
	assert_has(&core, "FROM pgherald.tell_two(places, written, false) AS t;\n");
	assert_has(&end, "ARRAY['My \"login''', 'pgherald_reader', ");
	assert_has_not(&core, "{{");
	assert_has_not(&end, "{{");
	assert_has_not(&core, "--#");
}

static void test_auth(void **state)
{
	static const char *const roles[] = {"manager", "it's"};
	struct render_auth a = {
		.name = "drf",
		.token_table = "public.authtoken_token",
		.token_column = "key",
		.token_user = "user_id",
		.login = "pgherald",
		.user_table = "public.user",
		.user_key = "id",
		.user_active = "is_active",
		.role_from = RENDER_ROLE_COLUMN,
		.role_column = "role",
		.group_table = "public.auth_group",
		.membership_table = "public.members",
		.membership_user = "user_id",
		.membership_group = "group_id",
		.staff_role = "manager",
		.other_role = "foreman",
		.roles = roles,
		.n_roles = 2,
	};
	autobuf out = {0}, error = {0};

	(void)state;
	buf_init(&out, RENDER_MAX);
	buf_init(&error, 1000);
	assert_true(render_auth(&out, &a, &error));
	assert_has(&out, "         pgherald.as_text(u.role),\n         coalesce(u.is_active, "
			 "false),\n         NULL::timestamptz\n");
	assert_has(&out, "  WHERE pgherald.only_plain(CASE WHEN false THEN t.key END)\n"
			 "        AND pgherald.only_plain(CASE WHEN false THEN t.user_id END)\n");
	assert_has(&out, "JOIN public.authtoken_token AS t ON t.key = asked.token\n");
	assert_has(&out, "ROW(r.is_active, r.role)::text");
	assert_has(&out, "('public.authtoken_token'::pg_catalog.regclass, 'token', 'udt'),");
	assert_has(&out, "JOIN public.\"user\" AS u ON u.id = t.user_id");
	assert_has(&out, "GRANT SELECT (id, is_active, role) ON public.\"user\" TO pgherald_auth;");
	assert_has(&out, "GRANT EXECUTE ON FUNCTION pgherald.auth_drf(text[]) TO pgherald;");
	buf_clear(&out);
	a.role_from = RENDER_ROLE_STAFF;
	a.user_active = "";
	assert_true(render_auth(&out, &a, &error));
	assert_has(&out,
		   "CASE WHEN u.is_staff THEN 'manager' ELSE 'foreman' END,\n         true,\n");
	assert_has_not(&out, "is_active");
	buf_clear(&out);
	a.role_from = RENDER_ROLE_GROUPS;
	assert_true(render_auth(&out, &a, &error));
	assert_has(&out, "ORDER BY array_position(ARRAY['manager', 'it''s']::text[], "
			 "pgherald.as_text(g.name))");
	assert_has(&out, "GRANT SELECT (user_id, group_id) ON public.members TO pgherald_auth;");
	assert_has(&out, "WHEN 'membership INSERT' THEN");
	assert_has(&out, "('public.auth_group'::pg_catalog.regclass, 'group', 'udt')");
	buf_clear(&out);
	a.hash = RENDER_HASH_KNOX;
	a.token_expires = "expiry";
	assert_true(render_auth(&out, &a, &error));
	assert_has(&out, "ON t.key IN (\n");
	assert_has(&out, "AND (t.expiry IS NULL OR t.expiry > now())");
	assert_has_not(&out, "channels text");
	buf_clear(&out);
	a.token_channels = "may Hear";
	assert_true(render_auth(&out, &a, &error));
	assert_has(&out, "active boolean, expires timestamptz, channels text)");
	assert_has(&out, "t.expiry::timestamptz,\n");
	assert_has(&out, "pgherald.as_text(t.\"may Hear\")\n");
	assert_has(&out, "EXCEPT SELECT is_now.id, is_now.token, is_now.channels FROM is_now");
	assert_has(&out, "GRANT SELECT (key, user_id, expiry, \"may Hear\")");
	a.token_channels = NULL;
	buf_clear(&out);
	a = (struct render_auth){
		.name = "web",
		.login = "pgherald",
		.token_table = "public.django_session",
		.token_column = "session_key",
		.token_user = "user_id",
		.token_expires = "expire_date",
		.user_table = "public.Users",
		.user_key = "id",
		.user_active = "is_active",
		.user_password = "pass\"word",
		.sessions = true,
		.role_column = "role",
		.membership_table = "members",
	};
	assert_true(render_auth(&out, &a, &error));
	assert_has(&out, "RETURNS TABLE (n int, session_data text, expires timestamptz)");
	assert_has(&out, "GRANT SELECT (session_key, session_data, expire_date) ON "
			 "public.django_session TO pgherald_auth;");
	assert_has(&out, "GRANT SELECT (id, \"pass\"\"word\", is_active, role) ON "
			 "public.\"Users\" TO pgherald_auth;");
	assert_has(&out, "THEN u.id = pgherald.typed(users[i], CASE WHEN false THEN u.id END)\n");
	assert_has(&out, "pgherald.as_text(u.\"pass\"\"word\"), 'UTF8')");
	assert_has(&out, "GRANT EXECUTE ON FUNCTION pgherald.session_web(text[], bytea[], bytea[]) "
			 "TO pgherald;");
	assert_has(&out, "ROW(r.is_active, r.role, r.\"pass\"\"word\")::text");
	assert_has(&out, "('public.django_session'::pg_catalog.regclass, 'token', 'udt'),");
	assert_has_not(&out, "{{");
	assert_has_not(&out, "--#");
	assert_has_not(&out, "user_id::text");
	a.role_from = RENDER_ROLE_GROUPS;
	a.group_table = "public.auth_group";
	a.membership_user = a.membership_group = "x";
	assert_false(render_auth(&out, &a, &error));
	assert_has(&error, "membership_table: expected \".\"");
}

/* The rest of a text from the question which columns a table has that run code. */
static const char *rest_of_question(const char *sql)
{
	const char *at = strstr(sql, "SELECT 'the column '");

	assert_non_null(at);
	return at;
}

/* What an installation refuses in its tables sql/check/ finds in them later. */
static void test_the_same_traps_are_looked_for_later(void **state)
{
	static const char last[] = "NOT u.rolsuper) AS o";
	const char *now = rest_of_question(sql_begin), *later = NULL;
	size_t len = (size_t)(strstr(now, last) - now) + sizeof(last) - 1;

	(void)state;
	for (unsigned i = 0; i < n_checks; i++)
		if (!strcmp(checks[i].id, "object-code"))
			later = rest_of_question(checks[i].query);
	assert_non_null(later);
	assert_true(len > 1000 && strlen(later) > len);
	assert_memory_equal(now, later, len);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_literals),
		cmocka_unit_test(test_template),
		cmocka_unit_test(test_document),
		cmocka_unit_test(test_quick_way),
		cmocka_unit_test(test_mark),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_reverse_owners_and_joined_leave),
		cmocka_unit_test(test_hardening),
		cmocka_unit_test(test_the_same_traps_are_looked_for_later),
		cmocka_unit_test(test_core_and_uninstall),
		cmocka_unit_test(test_auth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
