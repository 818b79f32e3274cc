/* SPDX-License-Identifier: PostgreSQL
 * The grammar of [watch]: what is read, and what is said about what cannot be. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sql/watch.h"

#define NAME_63 "abcdefghijklmnopqrstuvwxyz_abcdefghijklmnopqrstuvwxyz_012345678"

static struct watch *parse(const char *owners, const char *fields, const char *leave)
{
	autobuf error = {0};
	struct watch *w;

	buf_init(&error, 1000);
	w = watch_parse("estimate", "public.api_estimate", "id", owners, fields, leave, &error);
	if (!w)
		fail_msg("%s", buf_cstr(&error));
	return w;
}

static void test_issue_example(void **state)
{
	struct watch *w =
		parse("foreman_id",
		      "estimate_id=id, estimate_number = number,project_id,\n"
		      " project_name=project_id->public.api_project.name ,"
		      " code = project_id -> public.api_project ( code_id ) . code :: text,"
		      " created_at::utc",
		      "estimate_id, project_id");

	(void)state;
	assert_string_equal(w->topic, "estimate");
	assert_string_equal(w->schema, "public");
	assert_string_equal(w->table, "api_estimate");
	assert_int_equal(w->n_key, 1);
	assert_string_equal(w->key[0], "id");
	assert_int_equal(w->n_fields, 6);
	assert_string_equal(w->fields[0].name, "estimate_id");
	assert_string_equal(w->fields[0].column, "id");
	assert_null(w->fields[0].join_table);
	assert_int_equal(w->fields[0].cast, CAST_NONE);
	assert_string_equal(w->fields[2].name, "project_id");
	assert_string_equal(w->fields[2].column, "project_id");
	assert_string_equal(w->fields[3].name, "project_name");
	assert_string_equal(w->fields[3].column, "project_id");
	assert_string_equal(w->fields[3].join_schema, "public");
	assert_string_equal(w->fields[3].join_table, "api_project");
	assert_string_equal(w->fields[3].join_key, "id");
	assert_string_equal(w->fields[3].join_label, "name");
	assert_string_equal(w->fields[4].join_key, "code_id");
	assert_int_equal(w->fields[4].cast, CAST_TEXT);
	assert_string_equal(w->fields[5].name, "created_at");
	assert_int_equal(w->fields[5].cast, CAST_UTC);
	assert_int_equal(w->n_owners, 1);
	assert_string_equal(w->owners[0].column, "foreman_id");
	assert_int_equal(w->owners[0].n_hops, 0);
	assert_int_equal(w->n_leave, 2);
	assert_string_equal(w->leave[1], "project_id");
	watch_free(w);
}

static void test_reverse_owner(void **state)
{
	struct watch *w =
		parse("id<-public.api_estimate.project_id.foreman_id, creator_id", "id", NULL);

	(void)state;
	assert_int_equal(w->n_owners, 2);
	assert_string_equal(w->owners[0].column, "id");
	assert_string_equal(w->owners[0].hops[0].schema, "public");
	assert_string_equal(w->owners[0].hops[0].table, "api_estimate");
	assert_string_equal(w->owners[0].hops[0].key, "project_id");
	assert_string_equal(w->owners[0].hops[0].value, "foreman_id");
	assert_string_equal(w->owners[1].column, "creator_id");
	watch_free(w);
}

static void test_owners_by_way_of_several_tables(void **state)
{
	struct watch *w = parse("boss, p_id<-s.p.id.team_id <- s.m.\"Team\".user_id", "id", NULL);

	(void)state;
	assert_int_equal(w->n_owners, 2);
	assert_int_equal(w->owners[1].n_hops, 2);
	assert_string_equal(w->owners[1].hops[0].value, "team_id");
	assert_string_equal(w->owners[1].hops[1].table, "m");
	assert_string_equal(w->owners[1].hops[1].key, "Team");
	assert_string_equal(w->owners[1].hops[1].value, "user_id");
	assert_true(watch_has_hops(w));
	watch_free(w);
}

static void test_default_leave_is_the_key_without_joins(void **state)
{
	struct watch *w = parse("o", "x=id, y=id->s.t.l, z=id::text, v", NULL);

	(void)state;
	assert_int_equal(w->n_leave, 2);
	assert_string_equal(w->leave[0], "x");
	assert_string_equal(w->leave[1], "z");
	watch_free(w);
}

static void test_quoted_names(void **state)
{
	struct watch *w = parse(
		NULL, "\"a, b\"=\"say \"\"x\"\"\"->\"S\".\"t.u\"(\"k(\").\"->\", Größe", NULL);

	(void)state;
	assert_string_equal(w->fields[0].name, "a, b");
	assert_string_equal(w->fields[0].column, "say \"x\"");
	assert_string_equal(w->fields[0].join_schema, "S");
	assert_string_equal(w->fields[0].join_table, "t.u");
	assert_string_equal(w->fields[0].join_key, "k(");
	assert_string_equal(w->fields[0].join_label, "->");
	assert_string_equal(w->fields[1].name, "Größe");
	assert_int_equal(w->n_owners, 0);
	assert_int_equal(w->n_leave, 0);
	watch_free(w);
}

static void test_defaults(void **state)
{
	autobuf error = {0};
	struct watch *w;

	(void)state;
	buf_init(&error, 1000);
	w = watch_parse("t", "s.t", NULL, NULL, NAME_63, NULL, &error);
	assert_non_null(w);
	assert_string_equal(w->key[0], "id");
	assert_string_equal(w->fields[0].name, NAME_63);
	watch_free(w);
}

struct mistake {
	const char *topic, *table, *key, *owners, *fields, *leave, *said;
};

static void test_mistakes(void **state)
{
	static const struct mistake mistakes[] = {
		{"", "s.t", "id", "", "id", "",
		 "topic: a topic is 1 to 40 of a-z, 0-9 and _, at the end"},
		{"Big", "s.t", "id", "", "id", "",
		 "topic: a topic is 1 to 40 of a-z, 0-9 and _, near \"Big\""},
		{"a01234567890123456789012345678901234567890", "s.t", "id", "", "id", "",
		 "topic: a topic"},
		{"t", "", "id", "", "id", "", "table: expected a schema, at the end"},
		{"t", "api", "id", "", "id", "",
		 "table: expected \".\" after the schema (write schema.table), at the end"},
		{"t", "s.t.u", "id", "", "id", "", "table: unexpected text, near \".u\""},
		{"t", "s.t, s.u", "id", "", "id", "", "table: one table is wanted, near \"s.u\""},
		{"t", "s.t", "", "", "id", "", "key, item 1: expected a column, at the end"},
		{"t", "s.t", "a,a", "", "id", "", "key, item 2: \"a\" is there twice"},
		{"t", "s.t", "id", "", "", "", "fields, item 1: expected a column, at the end"},
		{"t", "s.t", "id", "", "id,", "", "fields, item 2: expected a column, at the end"},
		{"t", "s.t", "id", "", "id,,x", "",
		 "fields, item 2: expected a column, near \",x\""},
		{"t", "s.t", "id", "", "id x", "", "fields, item 1: unexpected text, near \"x\""},
		{"t", "s.t", "id", "", "id, id", "", "fields, item 2: two fields are named \"id\""},
		{"t", "s.t", "id", "", "a=", "", "fields, item 1: expected a column after \"=\""},
		{"t", "s.t", "id", "", "p->s.t.l", "",
		 "fields, item 1: a joined field needs a name: NAME=p->..."},
		{"t", "s.t", "id", "", "n=p->t.l", "",
		 "fields, item 1: expected \".\" after the joined table"},
		{"t", "s.t", "id", "", "n=p->s.t(k.l", "",
		 "fields, item 1: expected \")\" after the key of the joined table, near \".l\""},
		{"t", "s.t", "id", "", "a::int", "",
		 "fields, item 1: \"::int\" is not known, only ::utc and ::text"},
		{"t", "s.t", "id", "", "a::", "",
		 "fields, item 1: expected \"utc\" or \"text\" after \"::\""},
		{"t", "s.t", "id", "", "\"a", "", "fields, item 1: a column has no closing quote"},
		{"t", "s.t", "id", "", "\"\"", "", "fields, item 1: expected a column"},
		{"t", "s.t", "id", "", "\"a\nb\"", "",
		 "fields, item 1: a column has no closing quote or a control"},
		{"t", "s.t", "id", "", "\"$pgherald$\"", "",
		 "fields, item 1: a column may not contain"},
		{"t", "s.t", "id", "", "$pgherald$", "",
		 "fields, item 1: a column may not contain"},
		{"t", "s.t", "id", "", NAME_63 "9", "",
		 "fields, item 1: a column is longer than 63 bytes, near \"abc"},
		{"t", "s.t", "id", "a,", "id", "", "owners, item 2: expected a column, at the end"},
		{"t", "s.t", "id", "a<-s.t.fk", "id", "",
		 "owners, item 1: expected \".\" after the column that refers to us, at the end"},
		{"t", "s.t", "id", "a<-s.t.b.c<-s.t.b.c<-s.t.b.c<-s.t.b.c<-s.t.b.c", "id", "",
		 "owners, item 1: more than 4 tables on the way, near \"s.t.b.c\""},
		{"t", "s.t", "id", "o", "id", "no",
		 "leave, item 1: \"no\" is not one of the fields"},
		{"t", "s.t", "id", "o", "v", "", "leave: no field shows the key"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(*mistakes); i++) {
		const struct mistake *m = &mistakes[i];
		autobuf error = {0};

		buf_init(&error, 1000);
		assert_null(watch_parse(m->topic, m->table, m->key, m->owners, m->fields, m->leave,
					&error));
		if (strncmp(buf_cstr(&error), m->said, strlen(m->said)) != 0)
			fail_msg("wanted: %s\nsaid:   %s", m->said, buf_cstr(&error));
	}
}

/* `n` items c0, c1 ... */
static void list(struct buf *out, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		buf_printf(out, "%sc%u", i ? "," : "", i);
}

static void test_limits(void **state)
{
	static const struct {
		unsigned n_fields, n_owners, n_key;
		const char *said;
	} cases[] = {
		{200, 16, 8, NULL},
		{201, 16, 8, "fields, item 201: more than 200 fields"},
		{200, 17, 8, "owners, item 17: more than 16 owners"},
		{200, 16, 9, "key, item 9: more than 8 names"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		autobuf fields = {0}, owners = {0}, key = {0}, error = {0};
		struct watch *w;

		buf_init(&fields, 10000);
		buf_init(&owners, 10000);
		buf_init(&key, 10000);
		buf_init(&error, 1000);
		list(&fields, cases[i].n_fields);
		list(&owners, cases[i].n_owners);
		list(&key, cases[i].n_key);
		w = watch_parse("t", "s.t", buf_cstr(&key), buf_cstr(&owners), buf_cstr(&fields),
				NULL, &error);
		if (!cases[i].said)
			assert_non_null(w);
		else
			assert_memory_equal(buf_cstr(&error), cases[i].said, strlen(cases[i].said));
		watch_free(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_issue_example),
		cmocka_unit_test(test_reverse_owner),
		cmocka_unit_test(test_owners_by_way_of_several_tables),
		cmocka_unit_test(test_default_leave_is_the_key_without_joins),
		cmocka_unit_test(test_quoted_names),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
