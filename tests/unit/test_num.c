/* SPDX-License-Identifier: PostgreSQL
 * base/num: the whole text or nothing. */
#include "config.h"
#include "unit.h"

#include <string.h>

#include "base/num.h"

static bool u64(const char *s, uint64_t *ret)
{
	return num_u64(s, strlen(s), ret);
}

TEST(decimal_numbers)
{
	static const char *const bad[] = {
		"",
		"-1",
		"+1",
		" 1",
		"1 ",
		"0x10",
		"1.",
		"1e3",
		"18446744073709551616",
		"99999999999999999999",
		"\xd9\xa1",
		"1a",
		"/",
		":",
	};
	uint64_t n = 7;

	assert_true(u64("0", &n));
	assert_int_equal(n, 0);
	assert_true(u64("18446744073709551615", &n));
	assert_true(n == UINT64_MAX);
	assert_true(u64("007", &n));
	assert_int_equal(n, 7);
	assert_true(num_u64("123x", 3, &n)); /* only the length counts */
	assert_int_equal(n, 123);
	assert_false(num_u64("1\0"
			     "2",
			     3, &n));
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		n = 42;
		assert_false(u64(bad[i], &n));
		assert_int_equal(n, 42); /* set only on success */
	}
}

TEST(durations)
{
	static const struct {
		const char *text;
		uint64_t ms;
	} good[] = {
		{"0", 0},
		{"3", 3000},
		{"250ms", 250},
		{"30s", 30000},
		{"5m", 300000},
		{"24h", 86400000},
		{"7d", 604800000},
		{"0ms", 0},
		{"18446744073709551615ms", UINT64_MAX},
		{"18446744073709551s", 18446744073709551000u},
	};
	static const char *const bad[] = {
		"",
		"s",
		"1 s",
		" 1s",
		"1s ",
		"-1s",
		"1.5s",
		"1S",
		"1w",
		"1y",
		"1sec",
		"1mm",
		"18446744073709552s",
		"213503982335d",
	};
	uint64_t n;

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		assert_true(num_duration_ms(good[i].text, &n));
		assert_true(n == good[i].ms);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_false(num_duration_ms(bad[i], &n));
}

TEST(sizes)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{"0", 0},
		{"100", 100},
		{"1K", 1024},
		{"32KiB", 32768},
		{"1M", 1 << 20},
		{"64MiB", 64 << 20},
		{"1G", 1 << 30},
		{"2GiB", 2147483648u},
		{"17179869183G", 17179869183u * (1ull << 30)},
	};
	static const char *const bad[] = {
		"", "K", "1k", "1KB", "1kib", "1 K", "1T", "-1", "1.5M", "17179869184G",
	};
	uint64_t n;

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		assert_true(num_size(good[i].text, &n));
		assert_true(n == good[i].bytes);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_false(num_size(bad[i], &n));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decimal_numbers),
		cmocka_unit_test(durations),
		cmocka_unit_test(sizes),
	};

	return cmocka_run_group_tests_name("num", tests, NULL, NULL);
}
