/* SPDX-License-Identifier: PostgreSQL
 * base/buf: growing, the ceiling, failure that sticks. */
#include "config.h"
#include "unit.h"

#include <string.h>

#include "base/buf.h"

TEST(empty_is_a_string)
{
	struct buf b;
	char *s;

	buf_init(&b, 10);
	assert_string_equal(buf_cstr(&b), "");
	assert_true(buf_ok(&b));
	buf_add(&b, "", 0);
	assert_int_equal(b.len, 0);
	s = buf_steal(&b);
	assert_string_equal(s, "");
	free(s);
	buf_free(&b);
}

TEST(appends_of_every_kind)
{
	struct buf b;

	buf_init(&b, 200);
	buf_str(&b, "a=");
	buf_u64(&b, 0);
	buf_char(&b, ' ');
	buf_u64(&b, UINT64_MAX);
	buf_add(&b, "\0x", 2);
	buf_printf(&b, "%d-%s", -5, "y");
	assert_true(buf_ok(&b));
	assert_int_equal(b.len, 3 + 1 + 20 + 2 + 4);
	assert_memory_equal(b.data, "a=0 18446744073709551615\0x-5-y", b.len + 1);
	buf_free(&b);
}

TEST(the_ceiling_is_exact)
{
	struct buf b;

	buf_init(&b, 300);
	for (int i = 0; i < 300; i++)
		buf_char(&b, 'x');
	assert_true(buf_ok(&b));
	assert_int_equal(b.len, 300);
	assert_int_equal(strlen(buf_cstr(&b)), 300);
	buf_char(&b, 'y');
	assert_false(buf_ok(&b));
	assert_int_equal(b.len, 300);
	buf_free(&b);
	buf_init(&b, 0);
	buf_char(&b, 'x');
	assert_false(buf_ok(&b));
	assert_string_equal(buf_cstr(&b), "");
	buf_free(&b);
}

TEST(failure_sticks_until_cleared)
{
	struct buf b;

	buf_init(&b, 4);
	buf_str(&b, "ab");
	buf_str(&b, "cde"); /* all of it or nothing */
	assert_string_equal(buf_cstr(&b), "ab");
	buf_char(&b, 'c'); /* would fit */
	assert_string_equal(buf_cstr(&b), "ab");
	assert_false(buf_ok(&b));
	buf_clear(&b);
	assert_true(buf_ok(&b));
	assert_string_equal(buf_cstr(&b), "");
	buf_printf(&b, "%s", "abcde");
	assert_false(buf_ok(&b));
	buf_clear(&b);
	buf_printf(&b, "%s", "abcd");
	assert_true(buf_ok(&b));
	assert_string_equal(buf_cstr(&b), "abcd");
	buf_free(&b);
}

TEST(a_length_cannot_wrap)
{
	struct buf b;

	buf_init(&b, 100);
	buf_str(&b, "0123456789");
	buf_add(&b, "x", SIZE_MAX - 5);
	assert_false(buf_ok(&b));
	assert_int_equal(b.len, 10);
	buf_free(&b);
}

TEST(stolen_text_leaves_an_empty_buffer)
{
	struct buf b;
	char *s;

	buf_init(&b, 100);
	buf_str(&b, "mine");
	s = buf_steal(&b);
	assert_string_equal(s, "mine");
	assert_int_equal(b.len, 0);
	buf_str(&b, "next");
	assert_string_equal(buf_cstr(&b), "next");
	assert_string_equal(s, "mine");
	free(s);
	buf_free(&b);
	buf_str(&b, "again"); /* freed is as good as new */
	assert_string_equal(buf_cstr(&b), "again");
	buf_free(&b);
}

TEST(random_appends_agree_with_memcpy)
{
	struct rng r = rng_new();
	static char model[5000];
	struct buf b;

	for (int round = 0; round < 200; round++) {
		size_t max = rng_below(&r, sizeof(model)), len = 0;
		bool failed = false;

		buf_init(&b, max);
		for (int i = 0; i < 50; i++) {
			char piece[300];
			size_t n = rng_below(&r, sizeof(piece));

			for (size_t k = 0; k < n; k++)
				piece[k] = (char)rng_next(&r);
			buf_add(&b, piece, n);
			failed = failed || n > max - len;
			if (!failed) {
				memcpy(model + len, piece, n);
				len += n;
			}
			assert_int_equal(buf_ok(&b), !failed);
		}
		assert_int_equal(b.len, len);
		if (len) {
			assert_memory_equal(b.data, model, len);
			assert_int_equal(b.data[len], 0);
		}
		buf_free(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_is_a_string),
		cmocka_unit_test(appends_of_every_kind),
		cmocka_unit_test(the_ceiling_is_exact),
		cmocka_unit_test(failure_sticks_until_cleared),
		cmocka_unit_test(a_length_cannot_wrap),
		cmocka_unit_test(stolen_text_leaves_an_empty_buffer),
		cmocka_unit_test(random_appends_agree_with_memcpy),
	};

	return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
