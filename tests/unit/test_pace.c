/* SPDX-License-Identifier: PostgreSQL
 * web/pace: so many a minute, and who comes too often waits as long as he is told. */
#include "config.h"
#include "unit.h"

#include <stdlib.h>

#include "web/pace.h"

static struct pace pace;

static unsigned take_all(const char *who, uint64_t max, uint64_t now_ms, uint64_t *wait_ms)
{
	unsigned n = 0;

	while (n < 10000 && pace_take(&pace, "r", who, max, now_ms, wait_ms))
		n++;
	return n;
}

TEST(a_bucket)
{
	uint64_t wait_ms = 0, now = 1000000;

	pace_init(&pace);
	assert_int_equal(take_all("a", 6, now, &wait_ms), 6);
	assert_in_range(wait_ms, 9999, 10001);
	assert_false(pace_take(&pace, "r", "a", 6, now + wait_ms - 2, &wait_ms));
	assert_int_equal(take_all("a", 6, now + 10001, &wait_ms), 1);
	assert_int_equal(take_all("b", 6, now, &wait_ms), 6);	   /* another one's is his own */
	assert_true(pace_take(&pace, "s", "a", 6, now, &wait_ms)); /* and each route's */
	assert_int_equal(take_all("a", 6, now + 200000, &wait_ms),
			 6); /* never more than is in it */
	pace_free(&pace);
}

TEST(no_limit_and_the_smallest)
{
	uint64_t wait_ms = 0;

	pace_init(&pace);
	assert_int_equal(take_all("a", 0, 1, &wait_ms), 10000);
	assert_int_equal(take_all("a", 1, 1, &wait_ms), 1);
	assert_in_range(wait_ms, 59999, 60001);
	assert_int_equal(take_all("a", 1, 60002, &wait_ms), 1);
	pace_free(&pace);
}

TEST(more_than_there_are_places)
{
	uint64_t wait_ms;
	unsigned n = 0;

	pace_init(&pace);
	for (unsigned i = 0; i < 100000; i++) {
		char who[16];

		snprintf(who, sizeof(who), "%u", i);
		n += pace_take(&pace, "r", who, 1, 1, &wait_ms);
	}
	assert_int_equal(n, 100000);
	pace_free(&pace);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bucket),
		cmocka_unit_test(no_limit_and_the_smallest),
		cmocka_unit_test(more_than_there_are_places),
	};

	return cmocka_run_group_tests_name("pace", tests, NULL, NULL);
}
