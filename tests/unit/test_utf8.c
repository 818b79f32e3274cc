/* SPDX-License-Identifier: PostgreSQL
 * base/utf8: every code point there and back; what is none is none. */
#include "config.h"
#include "unit.h"

#include "base/utf8.h"

/* As RFC 3629 section 3 has it, also for what is no character. */
static size_t encode(char *out, uint32_t code)
{
	if (code < 0x80) {
		out[0] = (char)code;
		return 1;
	}
	if (code < 0x800) {
		out[0] = (char)(0xc0 | code >> 6);
		out[1] = (char)(0x80 | (code & 0x3f));
		return 2;
	}
	if (code < 0x10000) {
		out[0] = (char)(0xe0 | code >> 12);
		out[1] = (char)(0x80 | (code >> 6 & 0x3f));
		out[2] = (char)(0x80 | (code & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | code >> 18);
	out[1] = (char)(0x80 | (code >> 12 & 0x3f));
	out[2] = (char)(0x80 | (code >> 6 & 0x3f));
	out[3] = (char)(0x80 | (code & 0x3f));
	return 4;
}

TEST(every_code_point)
{
	char s[4];

	for (uint32_t code = 0; code < 0x120000; code++) {
		size_t n = encode(s, code);
		bool ok = code < 0xd800 || (code > 0xdfff && code < 0x110000);

		assert_int_equal(utf8_len(s, n), ok ? n : 0);
		if (!ok)
			continue;
		assert_int_equal(utf8_code(s, n), code);
		assert_int_equal(utf8_len(s, n - 1), 0); /* cut */
	}
}

TEST(what_is_none)
{
	static const char *const bad[] = {"\x80",	  "\xbf",	  "\xc0\x80",
					  "\xc1\xbf",	  "\xe0\x80\x80", "\xf0\x80\x80\x80",
					  "\xed\xa0\x80", "\xfe",	  "\xff",
					  "\xc3\x28",	  "\xe2\x82(",	  "\xf8\x88\x80\x80\x80"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(utf8_len(bad[i], strlen(bad[i])), 0);
	assert_int_equal(utf8_len("", 0), 0);
}

TEST(what_is_not_seen)
{
	static const uint32_t unseen[] = {0,	  0x1b,	  0x7f,	  0x80,	  0x9b,	  0x9f,
					  0x61c,  0x200e, 0x200f, 0x2028, 0x2029, 0x202a,
					  0x202e, 0x2066, 0x2069, 0xfeff, 0xe0041};
	static const uint32_t seen[] = {' ',   '~',    0xa0,   0xe9,   0x416,
					0x5d0, 0x4e2d, 0x2010, 0x1f600};

	for (size_t i = 0; i < sizeof(unseen) / sizeof(*unseen); i++)
		assert_true(utf8_unseen(unseen[i]));
	for (size_t i = 0; i < sizeof(seen) / sizeof(*seen); i++)
		assert_false(utf8_unseen(seen[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_code_point),
		cmocka_unit_test(what_is_none),
		cmocka_unit_test(what_is_not_seen),
	};

	return cmocka_run_group_tests_name("utf8", tests, NULL, NULL);
}
