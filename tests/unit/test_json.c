/* SPDX-License-Identifier: PostgreSQL
 * wire/json: RFC 8259 escapes, and a result that is UTF-8 whatever goes in. */
#include "config.h"
#include "unit.h"

#include <json-c/json.h>
#include <string.h>

#include "wire/json.h"
#include "wire/scan.h"

#define BAD "\xef\xbf\xbd" /* U+FFFD */

static void expect(const char *in, size_t len, const char *want)
{
	struct buf b;

	buf_init(&b, 1000);
	json_string(&b, in, len);
	assert_true(buf_ok(&b));
	assert_string_equal(buf_cstr(&b), want);
	assert_int_equal(b.len, strlen(want));
	buf_free(&b);
}

#define EXPECT(in, want) expect(in, sizeof(in) - 1, want)

TEST(escapes_of_rfc_8259)
{
	EXPECT("", "\"\"");
	EXPECT("plain / text", "\"plain / text\"");
	EXPECT("\"\\", "\"\\\"\\\\\"");
	EXPECT("\b\f\n\r\t", "\"\\b\\f\\n\\r\\t\"");
	EXPECT("\0\x01\x1f\x7f", "\"\\u0000\\u0001\\u001f\x7f\"");
	EXPECT("\xc3\xa9\xe2\x82\xac\xf0\x9f\x90\x98", "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x90\x98\"");
}

TEST(bytes_that_are_not_utf8)
{
	EXPECT("a\xff"
	       "b",
	       "\"a" BAD "b\"");
	EXPECT("\x80", "\"" BAD "\"");			       /* a continuation alone */
	EXPECT("\xc3", "\"" BAD "\"");			       /* cut off */
	EXPECT("\xe2\x82", "\"" BAD BAD "\"");		       /* cut off */
	EXPECT("\xc3\"", "\"" BAD "\\\"\"");		       /* swallows no quote */
	EXPECT("\xc0\xaf", "\"" BAD BAD "\"");		       /* overlong */
	EXPECT("\xe0\x9f\xbf", "\"" BAD BAD BAD "\"");	       /* overlong */
	EXPECT("\xf0\x8f\xbf\xbf", "\"" BAD BAD BAD BAD "\""); /* overlong */
	EXPECT("\xed\xa0\x80", "\"" BAD BAD BAD "\"");	       /* a surrogate */
	EXPECT("\xf4\x90\x80\x80", "\"" BAD BAD BAD BAD "\""); /* above U+10FFFF */
	EXPECT("\xf5\x80\x80\x80", "\"" BAD BAD BAD BAD "\"");
	EXPECT("\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf\xf0\x90\x80\x80\xe0\xa0\x80\xc2\x80",
	       "\"\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf\xf0\x90\x80\x80\xe0\xa0\x80\xc2\x80\"");
}

static void expect_text(const char *in, const char *want)
{
	struct buf b;

	buf_init(&b, 1000);
	json_text(&b, in);
	assert_true(buf_ok(&b));
	assert_string_equal(buf_cstr(&b), want);
	buf_free(&b);
}

/* What only some clients take for line ends. Nothing else is touched, broken UTF-8 neither. */
TEST(line_ends_in_a_text)
{
	expect_text("", "");
	expect_text("{\"a\":[1, \"\xd0\xb0\\n\"]}\n", "{\"a\":[1, \"\xd0\xb0\\n\"]}\n");
	expect_text("\"\xc2\x85\"", "\"\\u0085\"");
	expect_text("\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xa8", "\\u2028\\u2029\\u2028");
	expect_text("\xc2\xe2\x80\xa8\xc2\x85\xe2\xc2\x85", "\xc2\\u2028\\u0085\xe2\\u0085");
	expect_text("\xc2\x84\xe2\x80\xaa\xe2\x81\xa8\xe2\x80",
		    "\xc2\x84\xe2\x80\xaa\xe2\x81\xa8\xe2\x80");
	expect_text("\xc2", "\xc2");
}

/* Both json-c and our own reader take what we wrote. */
TEST(random_bytes_read_back)
{
	struct rng r = rng_new();

	for (int round = 0; round < 20000; round++) {
		char text[24];
		size_t len = rng_below(&r, sizeof(text));
		struct json_tokener *t = json_tokener_new();
		struct json_object *o;
		struct scan v;
		struct buf b;

		for (size_t i = 0; i < len; i++) {
			static const char odd[] = "\xc3\xa9\xe2\x82\xac\xf0\x9f\x90\x98\"\\\n";

			text[i] = rng_below(&r, 2) ? odd[rng_below(&r, sizeof(odd) - 1)]
						   : (char)rng_next(&r);
		}
		buf_init(&b, 1000);
		json_string(&b, text, len);
		/* Not strict: json-c 0.18 then takes a letter beyond ASCII for an error. */
		json_tokener_set_flags(t, JSON_TOKENER_VALIDATE_UTF8);
		o = json_tokener_parse_ex(t, buf_cstr(&b), (int)b.len + 1);
		assert_int_equal(json_tokener_get_error(t), json_tokener_success);
		assert_true(json_object_is_type(o, json_type_string));
		json_object_put(o);
		json_tokener_free(t);
		assert_true(scan_text(buf_cstr(&b), b.len, &v));
		buf_free(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(escapes_of_rfc_8259),
		cmocka_unit_test(bytes_that_are_not_utf8),
		cmocka_unit_test(line_ends_in_a_text),
		cmocka_unit_test(random_bytes_read_back),
	};

	return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
