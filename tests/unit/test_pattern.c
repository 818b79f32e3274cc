/* SPDX-License-Identifier: PostgreSQL
 * wire/pattern: which paths a pattern is, with what for its variables, and whether two of them are
 * one path's. */
#include "config.h"
#include "unit.h"

#include <string.h>

#include "wire/pattern.h"

TEST(what_a_path_is)
{
	static const char *const good[] = {"/",
					   "/a",
					   "/a/",
					   "/{x}",
					   "/my/chat/{session_id}/events/",
					   "//",
					   "/{a}/{b}/{c}/{d}",
					   "/a%20b"};
	static const char *const bad[] = {"",
					  "a",
					  "/a{x}",
					  "/{x}b",
					  "/{}",
					  "/{x",
					  "/x}",
					  "/{a.b}",
					  "/{?x}",
					  "/a?b=c",
					  "/a#b",
					  "/{a}/{b}/{c}/{d}/{e}",
					  "/{aaaaaaaaaabbbbbbbbbbccccccccccddd}"};

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		assert_null(pattern_path_complaint(good[i]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_non_null(pattern_path_complaint(bad[i]));
	assert_int_equal(pattern_variable("/a/{b}/c/{d}", "d", 1), 1);
	assert_int_equal(pattern_variable("/a/{b}/c/{d}", "c", 1), -1);
}

TEST(what_a_channel_is)
{
	static const char *const good[] = {"a", "{x}", "chat:{session_id}", "a.{x}-{?y}@", "{?x}"};
	static const char *const bad[] = {"a b", "a/b", "{",	 "{}",	 "{x",
					  "a}",	 "#a",	"{a b}", "{??x}"};

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		assert_null(pattern_channel_complaint(good[i]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_non_null(pattern_channel_complaint(bad[i]));
}

TEST(matches)
{
	struct pattern_piece v[PATTERN_VARIABLES_MAX];
	char longest[PATTERN_VALUE_MAX + 3] = "/";

	assert_true(pattern_matches("/my/chat/{s}/events/", "/my/chat/a-7.B:@_/events/", v));
	assert_int_equal(v[0].len, 8);
	assert_memory_equal(v[0].at, "a-7.B:@_", 8);
	assert_true(pattern_matches("/{a}/{b}", "/1/22", v));
	assert_int_equal(v[1].len, 2);
	assert_true(pattern_matches("/a", "/a", v));
	static const char *const others[] = {
		"/my/chat//events/",	"/my/chat/a/b/events/", "/my/chat/a/events",
		"/my/chat/a/events//",	"/my/chat/a b/events/", "/my/chat/\xc3\xa9/events/",
		"/my/chat/%2e/events/", "/my/chat/a/",		"/my/chat/a,b/events/",
		"/my/chat/{s}/events/", "/my/chat/a*/events/",	"",
		"/my/chat/#a/events/",	"/My/chat/a/events/",	"/my/chat/a/events/x",
	};
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		assert_false(pattern_matches("/my/chat/{s}/events/", others[i], v));
	memset(longest + 1, 'a', PATTERN_VALUE_MAX);
	assert_true(pattern_matches("/{x}", longest, v));
	longest[PATTERN_VALUE_MAX + 1] = 'a';
	assert_false(pattern_matches("/{x}", longest, v));
}

TEST(overlap)
{
	assert_true(pattern_overlap("/a/{x}", "/a/{y}"));
	assert_true(pattern_overlap("/a/{x}", "/a/b"));
	assert_true(pattern_overlap("/{x}/b", "/a/{y}"));
	assert_true(pattern_overlap("/a", "/a"));
	assert_false(pattern_overlap("/a/{x}", "/a/b/"));
	assert_false(pattern_overlap("/a/{x}", "/a/b c"));
	assert_false(pattern_overlap("/a/{x}", "/a/"));
	assert_false(pattern_overlap("/a/{x}", "/b/{x}"));
	assert_false(pattern_overlap("/a/{x}/c", "/a/{x}/d"));
	assert_false(pattern_overlap("/a", "/ab"));
}

/* Two patterns overlap exactly when one of all short paths is both. */
TEST(overlap_is_what_it_says)
{
	static const char *const pieces[] = {"a", "b", "{x}", ""};
	static const char *const given[] = {"a", "b", "c", ""};

	for (int i = 0; i < 256; i++) {
		autobuf p = {.max = 100}, q = {.max = 100};
		struct pattern_piece v[PATTERN_VARIABLES_MAX];
		bool both = false;

		buf_printf(&p, "/%s/%s", pieces[i & 3], pieces[i >> 2 & 3]);
		buf_printf(&q, "/%s/%s", pieces[i >> 4 & 3], pieces[i >> 6 & 3]);
		for (int k = 0; k < 16; k++) {
			autobuf path = {.max = 100};

			buf_printf(&path, "/%s/%s", given[k & 3], given[k >> 2]);
			both |= pattern_matches(buf_cstr(&p), buf_cstr(&path), v) &&
				pattern_matches(buf_cstr(&q), buf_cstr(&path), v);
		}
		assert_int_equal(both, pattern_overlap(buf_cstr(&p), buf_cstr(&q)));
		assert_int_equal(both, pattern_overlap(buf_cstr(&q), buf_cstr(&p)));
	}
}

static const char *value(void *arg, const char *name, size_t len)
{
	return len == strlen(arg) && !memcmp(name, arg, len) ? "7" : NULL;
}

TEST(expanding)
{
	autobuf b = {.max = 100};
	char id[] = "id", query[] = "?q";

	assert_true(pattern_expand("user:{id}.{id}", value, id, &b));
	assert_string_equal(buf_cstr(&b), "user:7.7");
	buf_clear(&b);
	assert_true(pattern_expand("plain", value, id, &b) &&
		    pattern_expand("{?q}", value, query, &b));
	assert_string_equal(buf_cstr(&b), "plain7");
	assert_false(pattern_expand("a{other}", value, id, &b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_path_is),
		cmocka_unit_test(what_a_channel_is),
		cmocka_unit_test(matches),
		cmocka_unit_test(overlap),
		cmocka_unit_test(overlap_is_what_it_says),
		cmocka_unit_test(expanding),
	};

	return cmocka_run_group_tests_name("pattern", tests, NULL, NULL);
}
