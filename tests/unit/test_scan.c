/* SPDX-License-Identifier: PostgreSQL
 * wire/scan: what RFC 8259 calls JSON and nothing else, and pieces of it as they stand there. */
#include "config.h"
#include "unit.h"

#include <json-c/json.h>

#include "wire/scan.h"

static bool is_json(const char *text, size_t len)
{
	struct scan v;

	return scan_text(text, len, &v);
}

TEST(what_is_json)
{
	static const char *const good[] = {
		"0",
		"-0",
		"-1",
		"10",
		"1.5",
		"-0.50",
		"1e5",
		"1E+05",
		"1e-5",
		"0e0",
		"123456789012345678901234567890.10",
		"1e999",
		"true",
		"false",
		"null",
		"\"\"",
		"\"a\"",
		"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD83D\\uDe00\"",
		"\"\\ud800\"", /* half a pair: odd, and JSON all the same */
		"\"\\u0000\"",
		"\"\x7f\"",
		"\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x90\x98\xe2\x80\xa8\"",
		"[]",
		"{}",
		"[ ]",
		"{ }",
		" \t\r\n[1 , 2]\n",
		"[[],{}]",
		"{\"\":0,\"a\":{\"b\":[null,{\"c\":1}]} }",
		"{\"a\":1,\"a\":2}",
	};

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		if (!is_json(good[i], strlen(good[i])))
			fail_msg("refused: %s", good[i]);
}

TEST(what_is_not)
{
	static const char *const bad[] = {
		"",
		" ",
		"nul",
		"nulll",
		"True",
		"NaN",
		"Infinity",
		"-Infinity",
		"-",
		"+1",
		"01",
		"-01",
		"1.",
		".5",
		"1.e1",
		"1e",
		"1e+",
		"0x10",
		"1 2",
		"1,",
		"\"",
		"\"a",
		"'a'",
		"a",
		"\"\t\"",
		"\"\n\"",
		"\"\x1f\"",
		"\"\\\"",
		"\"\\a\"",
		"\"\\x41\"",
		"\"\\u12\"",
		"\"\\u12g4\"",
		"\"\\U0041\"",
		"\"\xff\"",
		"\"\xc3\"",
		"\"\xed\xa0\x80\"",
		"\xef\xbb\xbf{}", /* a byte order mark: section 8.1 */
		"[",
		"]",
		"{",
		"}",
		"[1",
		"[1,",
		"[1,]",
		"[,1]",
		"[,]",
		"[1 2]",
		"[1]]",
		"[1}",
		"{]",
		"{\"a\"}",
		"{\"a\":}",
		"{\"a\":1",
		"{\"a\":1,}",
		"{,}",
		"{a:1}",
		"{1:1}",
		"{\"a\" 1}",
		"{\"a\":1 \"b\":2}",
		"{\"a\":1}{}",
		"[1]/*x*/",
		"[\f1]",
		"[\xc2\xa0]",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (is_json(bad[i], strlen(bad[i])))
			fail_msg("taken: %s", bad[i]);
	assert_false(is_json("1\0", 2));
	assert_false(is_json("\"\0\"", 3));
	assert_false(is_json("\"\\\0\"", 4));
	assert_false(is_json("\"\\u\0\0\0\0\"", 8));
}

/* Every text cut short is none, whatever stands behind its end in memory. */
TEST(nothing_is_read_behind_the_end)
{
	static const char text[] = "{\"a\\u00e9\xe2\x82\xac\": [1.5e+3, true, \"\\n\"], \"b\": {}}";

	for (size_t len = 0; len < sizeof(text) - 1; len++) {
		char *copy = malloc(len + !len);

		assert_non_null(copy);
		memcpy(copy, text, len);
		if (is_json(copy, len))
			fail_msg("%zu bytes", len);
		free(copy);
	}
	assert_true(is_json(text, sizeof(text) - 1));
}

static bool nested(size_t depth, const char *open, const char *close)
{
	struct buf b;
	bool ok;

	buf_init(&b, 100000);
	for (size_t i = 0; i < depth; i++)
		buf_str(&b, open);
	buf_str(&b, "1");
	for (size_t i = 0; i < depth; i++)
		buf_str(&b, close);
	ok = is_json(buf_cstr(&b), b.len);
	buf_free(&b);
	return ok;
}

TEST(depth_has_a_bound)
{
	assert_true(nested(30, "{\"a\":", "}"));
	assert_true(nested(SCAN_DEPTH_MAX, "[", "]"));
	assert_true(nested(SCAN_DEPTH_MAX, "{\"a\":", "}"));
	assert_false(nested(SCAN_DEPTH_MAX + 1, "[", "]"));
	assert_false(nested(SCAN_DEPTH_MAX + 1, "{\"a\":", "}"));
	assert_false(nested(10000, "[", "]"));
}

static struct scan text(const char *s)
{
	struct scan v;

	assert_true(scan_text(s, strlen(s), &v));
	return v;
}

static void expect(struct scan v, const char *want)
{
	if (v.len != strlen(want) || memcmp(v.at, want, v.len) != 0)
		fail_msg("%.*s, not %s", (int)v.len, v.at, want);
}

TEST(members)
{
	struct scan o = text(" { \"a\" : 18446744073709551616 ,\"\\u0062\":[1, {\"a\":2}],"
			     "\"c\":\"x\", \"c\" : {\"a\":3} } "),
		    v;

	assert_true(scan_member(o, "a", &v));
	expect(v, "18446744073709551616");
	assert_true(scan_is_integer(v));
	assert_true(scan_member(o, "b", &v)); /* spelled with an escape */
	expect(v, "[1, {\"a\":2}]");
	assert_true(scan_member(o, "c", &v)); /* the last one */
	expect(v, "{\"a\":3}");
	assert_false(scan_member(o, "d", &v));
	assert_false(scan_member(o, "", &v));
	assert_false(scan_member(text("{}"), "a", &v));
	assert_false(scan_member(text("[\"a\",1]"), "a", &v));
	assert_false(scan_member(text("\"a\""), "a", &v));
	assert_true(scan_member(text("{\"\\ud800\":1,\"a\":null}"), "a", &v));
	assert_true(scan_is_null(v));
}

TEST(elements)
{
	struct scan rest = text("[ 1 ,\"a,]\" , [2,3],{}]"), v;
	static const char *const want[] = {"1", "\"a,]\"", "[2,3]", "{}"};

	for (size_t i = 0; i < 4; i++) {
		assert_true(scan_next(&rest, &v));
		expect(v, want[i]);
	}
	assert_false(scan_next(&rest, &v));
	assert_false(scan_next(&rest, &v));
	rest = text("[ ]");
	assert_false(scan_next(&rest, &v));
	rest = text("{\"a\":1}");
	assert_false(scan_next(&rest, &v));
	rest = text("7");
	assert_false(scan_next(&rest, &v));
}

TEST(strings)
{
	static const char *const none[] = {
		"1",
		"null",
		"[]",
		"\"\\u0000\"",
		"\"a\\u0000b\"",
		"\"\\ud800\"",
		"\"\\ud800x\"",
		"\"\\ud800\\n\"",
		"\"\\ud800\\u0041\"",
		"\"\\udc00\"",
		"\"ab\\udfff\"",
	};
	struct buf b;

	buf_init(&b, 1000);
	buf_str(&b, "<");
	for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++) {
		if (scan_string(text(none[i]), &b))
			fail_msg("taken: %s", none[i]);
		assert_string_equal(buf_cstr(&b), "<");
	}
	assert_true(scan_string(text("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\u20AC"
				     "\\uD83D\\uDE00\xc3\xa9\""),
				&b));
	assert_string_equal(buf_cstr(&b), "<\"\\/\b\f\n\r\tA\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"
					  "\xc3\xa9");
	buf_clear(&b);
	assert_true(scan_string(text("\"\""), &b));
	assert_string_equal(buf_cstr(&b), "");
	buf_free(&b);
	/* Nothing before it either. */
	buf_init(&b, 1000);
	assert_false(scan_string(text("\"\\ud800\""), &b));
	assert_string_equal(buf_cstr(&b), "");
	buf_free(&b);
}

TEST(integers)
{
	static const char *const whole[] = {"0", "-0", "17", "-9223372036854775809",
					    "123456789012345678901234567890"};
	static const char *const other[] = {"1.0", "1e2", "1E2", "-0.5", "\"1\"", "true", "[1]"};

	for (size_t i = 0; i < sizeof(whole) / sizeof(*whole); i++)
		assert_true(scan_is_integer(text(whole[i])));
	for (size_t i = 0; i < sizeof(other) / sizeof(*other); i++)
		assert_false(scan_is_integer(text(other[i])));
}

/* What a random change leaves as JSON, json-c reads as well; it takes more than we do, so not the
 * other way round. */
TEST(another_reader_takes_it_too)
{
	static const char seed[] =
		"{\"a\":[1,-2.5e3,\"x\\n\\u00e9\",true,null,{\"b\":{}}],\"c\":\"\"}";
	static const char odd[] = "{}[]\",:0123456789.-+eE\\/ubfnrtalse \n\x01\xc3\xa9";
	struct rng r = rng_new();
	unsigned n_taken = 0;

	for (int round = 0; round < 200000; round++) {
		char copy[sizeof(seed)];
		size_t len = sizeof(seed) - 1;
		struct json_tokener *t;

		memcpy(copy, seed, sizeof(seed));
		for (uint64_t n = 1 + rng_below(&r, 3); n > 0; n--)
			copy[rng_below(&r, len)] = odd[rng_below(&r, sizeof(odd) - 1)];
		if (!is_json(copy, len))
			continue;
		n_taken++;
		t = json_tokener_new();
		json_object_put(json_tokener_parse_ex(t, copy, (int)len + 1));
		if (json_tokener_get_error(t) != json_tokener_success)
			fail_msg("%s", copy);
		json_tokener_free(t);
	}
	assert_in_range(n_taken, 1000, 199000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_json),
		cmocka_unit_test(what_is_not),
		cmocka_unit_test(nothing_is_read_behind_the_end),
		cmocka_unit_test(depth_has_a_bound),
		cmocka_unit_test(members),
		cmocka_unit_test(elements),
		cmocka_unit_test(strings),
		cmocka_unit_test(integers),
		cmocka_unit_test(another_reader_takes_it_too),
	};

	return cmocka_run_group_tests_name("scan", tests, NULL, NULL);
}
