/* SPDX-License-Identifier: PostgreSQL
 * wire/array: PostgreSQL's spelling of a text[] is read back exactly, and nothing else is read. */
#include "config.h"

#include "unit.h"

#include "wire/array.h"

/* The texts are given with a bar after each; "-" stands for no list. */
static void expect(const char *list, const char *want)
{
	size_t n = array_count(list), bars = 0;
	char **items = calloc(n + 1, sizeof(*items)), *text = calloc(1, strlen(list) + 1);
	char *at = text;
	autobuf joined = {0};

	buf_init(&joined, 1000);
	for (const char *p = want; *p; p++)
		bars += *p == '|';
	assert_int_equal(n, bars);
	array_split(list, &at, items);
	assert_true((size_t)(at - text) <= strlen(list));
	for (size_t i = 0; i < n; i++) {
		buf_str(&joined, items[i]);
		buf_char(&joined, '|');
	}
	assert_string_equal(buf_cstr(&joined), want);
	free(text);
	free(items);
}

TEST(lists_as_the_server_spells_them)
{
	expect("{}", "");
	expect("{7}", "7|");
	expect("{7,8}", "7|8|");
	expect("{\"\"}", "|");
	expect("{\"a,b\",\"c}\",\"{\"}", "a,b|c}|{|");
	expect("{\"a\\\"b\",\"\\\\\"}", "a\"b|\\|");
	expect("{\"\x1f\",\"7\x1f"
	       "8\"}",
	       "\x1f|7\x1f"
	       "8|");
	expect("{NULL,7,null}", "7|");
	expect("{\"NULL\",NULLS}", "NULL|NULLS|");
	expect("{\xd0\x96,\"\xd0\x96 \xd0\x96\"}", "\xd0\x96|\xd0\x96 \xd0\x96|");
}

TEST(what_is_no_list_has_nobody)
{
	static const char *const texts[] = {"",		 "7",	  "{",	      "{7",	  "{7,",
					    "{7,}",	 "{,7}",  "{\"7}",    "{\"7\\",	  "{7}}",
					    "{7}x",	 "{{7}}", "{7\"8\"}", "{\"7\"8}", "{7{}",
					    "[1:1]={7}", "{\\7}", "{\"7\\\"}"};

	assert_int_equal(array_count(NULL), 0);
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		assert_int_equal(array_count(texts[i]), 0);
}

TEST(whether_a_text_is_in_it)
{
	assert_true(array_has("{a}", "a"));
	assert_true(array_has("{a,b,c}", "c"));
	assert_true(array_has("{\"a b\",\"x\\\"y\\\\z\",c}", "a b"));
	assert_true(array_has("{\"a b\",\"x\\\"y\\\\z\",c}", "x\"y\\z"));
	assert_true(array_has("{NULL,\"NULL\"}", "NULL"));
	assert_true(array_has("{\"\"}", ""));
	assert_false(array_has("{ab,ba,abc}", "a"));
	assert_false(array_has("{a,b}", "a,b"));
	assert_false(array_has("{\"ab\"}", "a"));
	assert_false(array_has("{a}", ""));
	assert_false(array_has("{NULL}", "NULL"));
	assert_false(array_has("{}", ""));
	assert_false(array_has(NULL, "a"));
	assert_false(array_has("{a", "a"));
}

TEST(what_is_written_is_read)
{
	struct rng r = rng_new();
	static const char bytes[] = "a,{}\"\\ \x1fN";

	for (unsigned round = 0; round < 2000; round++) {
		autobuf b = {0}, want = {0};
		char text[8];

		buf_init(&b, 1000);
		buf_init(&want, 1000);
		for (uint64_t n = rng_below(&r, 6); n; n--) {
			size_t len = rng_below(&r, sizeof(text));

			for (size_t i = 0; i < len; i++)
				text[i] = bytes[rng_below(&r, sizeof(bytes) - 1)];
			text[len] = '\0';
			array_add(&b, text);
			buf_str(&want, text);
			buf_char(&want, '|');
		}
		array_end(&b);
		expect(buf_cstr(&b), buf_cstr(&want));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_as_the_server_spells_them),
		cmocka_unit_test(what_is_no_list_has_nobody),
		cmocka_unit_test(whether_a_text_is_in_it),
		cmocka_unit_test(what_is_written_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
