/* SPDX-License-Identifier: PostgreSQL
 * What is read out of rendered SQL: statements, functions, triggers and rights. */
#include "config.h"

#include "unit.h"

#include "dba/statement.h"
#include "dba/objects.h"

TEST(statements_end_at_their_own_semicolon)
{
	const char *text = "-- a; comment\nBEGIN;\n\nSELECT ';', \";\", 'it''s;' -- ; no\n  ;\n"
			   "DO $pgherald$ a; b; $pgherald$;\n-- the end\n";
	static const char *const bare[] = {"BEGIN", "SELECT ';', \";\", 'it''s;' -- ; no\n  ",
					   "DO $pgherald$ a; b; $pgherald$"};
	struct statement s;

	for (size_t i = 0; i < 3; i++) {
		assert_true(statement_next(&text, &s));
		assert_int_equal(s.bare.len, strlen(bare[i]));
		assert_memory_equal(s.bare.p, bare[i], s.bare.len);
		if (i == 0)
			assert_true(words_starts(s.all.p, "-- a; comment\nBEGIN;"));
	}
	assert_false(statement_next(&text, &s));
}

TEST(an_unfinished_text_does_not_run_over)
{
	static const char *const texts[] = {"",
					    ";",
					    "'",
					    "\"a",
					    "$pgherald$ a",
					    "--",
					    "SELECT",
					    "GRANT",
					    "GRANT SELECT (a",
					    "CREATE OR REPLACE FUNCTION f",
					    "CREATE OR REPLACE FUNCTION f(",
					    ("DO $pgherald$ CREATE "
					     "TRIGGER x $pgherald$"),
					    "GRANT  ON  TO ",
					    "GRANT a ON b TO "};

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct objects r = {0};

		objects_read(&r, texts[i]);
		objects_free(&r);
	}
}

TEST(a_functions_head)
{
	struct objects r = {0};

	objects_read(&r,
		     "CREATE OR REPLACE FUNCTION pgherald.f(a interval, b int, c bigint DEFAULT "
		     "NULL)\nRETURNS bigint\nLANGUAGE plpgsql STABLE SECURITY DEFINER\n"
		     "SET search_path = pg_catalog, pg_temp\nSET timezone = 'UTC'   -- why\n"
		     "AS $pgherald$\nSET x = 1;\n$pgherald$;");
	assert_int_equal(r.n_functions, 1);
	assert_string_equal(r.functions[0].signature, "pgherald.f(interval, int, bigint)");
	assert_string_equal(r.functions[0].body, "\nSET x = 1;\n");
	assert_string_equal(r.functions[0].settings,
			    "search_path=pg_catalog, pg_temp\ntimezone=UTC");
	assert_true(r.functions[0].definer);
	assert_int_equal(r.functions[0].volatility, 's');
	objects_free(&r);
}

TEST(triggers_inside_of_blocks)
{
	struct objects r = {0};

	objects_read(&r,
		     "DO $pgherald$ BEGIN IF a THEN\n CREATE TRIGGER zz AFTER INSERT ON \"S s\".t\n"
		     "   REFERENCING NEW TABLE AS n\n FOR EACH STATEMENT EXECUTE FUNCTION f();\n"
		     " END IF; END $pgherald$;");
	assert_int_equal(r.n_triggers, 1);
	assert_string_equal(r.triggers[0].name, "zz");
	assert_string_equal(r.triggers[0].table, "\"S s\".t");
	assert_string_equal(
		r.triggers[0].def,
		"CREATE TRIGGER zz AFTER INSERT ON \"S s\".t REFERENCING NEW TABLE AS n FOR "
		"EACH STATEMENT EXECUTE FUNCTION f()");
	objects_free(&r);
}

TEST(rights_one_by_one)
{
	struct objects r = {0};
	const struct object_right *w;

	objects_read(&r, "GRANT SELECT (id, \"a, \"\"b\") ON public.t TO pgherald_owner;\n"
			 "GRANT EXECUTE ON FUNCTION f(), g(int, text) TO pgherald;\n"
			 "GRANT SELECT (id) ON public.t TO pgherald_owner;\n"
			 "INSERT INTO pgherald.meta (schema_version, epoch)\nVALUES (12, 'x');");
	assert_int_equal(r.n_rights, 4);
	assert_string_equal(r.rights[0].column, "id");
	assert_string_equal(r.rights[0].kind, "column");
	assert_string_equal(r.rights[0].object, "public.t");
	assert_string_equal(r.rights[1].column, "a, \"b");
	w = &r.rights[3];
	assert_string_equal(w->object, "g(int, text)");
	assert_string_equal(w->kind, "function");
	assert_string_equal(w->privilege, "EXECUTE");
	assert_string_equal(w->role, "pgherald");
	assert_null(w->column);
	assert_true(objects_has_right(&r, w));
	assert_int_equal(r.schema_version, 12);
	objects_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(statements_end_at_their_own_semicolon),
		cmocka_unit_test(an_unfinished_text_does_not_run_over),
		cmocka_unit_test(a_functions_head),
		cmocka_unit_test(triggers_inside_of_blocks),
		cmocka_unit_test(rights_one_by_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
