/* SPDX-License-Identifier: PostgreSQL
 * wire/resp: what is within bounds goes through byte for byte, however it is cut. */
#include "config.h"
#include "unit.h"

#include <string.h>

#include "wire/resp.h"

/* Fed at once, and byte by byte: both give the same. */
static void expect(const char *in, size_t len, const char *want)
{
	struct resp whole, pieces;
	struct buf a, b;

	resp_init(&whole, 5, 300);
	resp_init(&pieces, 5, 300);
	buf_init(&a, 4096);
	buf_init(&b, 4096);
	assert_int_equal(resp_feed(&whole, in, len, &a), want != NULL);
	for (size_t i = 0; i < len; i++)
		(void)!resp_feed(&pieces, in + i, 1, &b);
	assert_int_equal(whole.failed, pieces.failed);
	assert_string_equal(buf_cstr(&a), buf_cstr(&b));
	if (want)
		assert_string_equal(buf_cstr(&a), want);
	buf_free(&a);
	buf_free(&b);
}

#define EXPECT(in, want) expect(in, sizeof(in) - 1, want)
#define SAME(in)	 EXPECT(in, in)

TEST(what_is_within_bounds_goes_through)
{
	SAME("+OK\r\n-ERR no\r\n:12\r\n$-1\r\n*-1\r\n*0\r\n$0\r\n\r\n");
	SAME("*3\r\n$1\r\na\r\n$5\r\n\r\n$9\r\r\n:1\r\n");
	SAME("+a\rb\nc\r\n");
}

TEST(what_is_too_long_is_nil)
{
	EXPECT("*2\r\n$6\r\n123456\r\n$1\r\na\r\n", "*2\r\n$-1\r\n$1\r\na\r\n");
	EXPECT("$1000000000000\r\nabc", "$-1\r\n");
}

TEST(what_makes_no_sense_ends_it)
{
	EXPECT("x\r\n", NULL);
	EXPECT("\r\n", NULL);
	EXPECT("$\r\n", NULL);
	EXPECT("$-2\r\n", NULL);
	EXPECT("$1a\r\n", NULL);
	EXPECT("*1000001\r\n", NULL);
	EXPECT("$99999999999999999999\r\n", NULL);
	EXPECT("$00000000000000000000000000000000000001\r\n", NULL);
	EXPECT("%1\r\n", NULL);
}

TEST(a_line_without_end)
{
	struct resp r;
	struct buf b;

	resp_init(&r, 5, 300);
	buf_init(&b, 2 * RESP_LINE_MAX);
	assert_true(resp_feed(&r, "+", 1, &b));
	for (size_t i = 1; i < RESP_LINE_MAX; i++)
		assert_true(resp_feed(&r, "x", 1, &b));
	assert_false(resp_feed(&r, "x", 1, &b));
	assert_false(resp_feed(&r, "\r\n", 2, &b));
	buf_free(&b);
}

TEST(a_reply_has_room_for_so_much)
{
	struct resp r;
	struct buf b;

	resp_init(&r, 200, 300);
	buf_init(&b, 4096);
	assert_true(resp_feed(&r, "$3\r\nabc\r\n$3\r\nabc\r\n$3\r\nabc\r\n$3\r\nabc\r\n", 36, &b));
	assert_false(r.overfull);
	assert_true(resp_feed(&r, "$99\r\n", 5, &b));
	assert_true(r.overfull);
	resp_next(&r);
	assert_false(r.overfull);
	assert_int_equal(r.n_dropped, 1);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_within_bounds_goes_through),
		cmocka_unit_test(what_is_too_long_is_nil),
		cmocka_unit_test(what_makes_no_sense_ends_it),
		cmocka_unit_test(a_line_without_end),
		cmocka_unit_test(a_reply_has_room_for_so_much),
	};

	return cmocka_run_group_tests_name("resp", tests, NULL, NULL);
}
