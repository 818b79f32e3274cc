/* SPDX-License-Identifier: PostgreSQL
 * base/complaint: what comes again is counted. */
#include "config.h"
#include "unit.h"

#include <string.h>

#include "base/complaint.h"

TEST(once_then_as_a_number)
{
	struct complaint c = {0};
	char longer[400];

	assert_true(complaint_due(&c, "no right", 50));
	for (uint64_t now = 50; now < 50 + COMPLAINT_SAME_MS; now += 997)
		assert_false(complaint_due(&c, "no right", now));
	assert_true(complaint_due(&c, "no right", 50 + COMPLAINT_SAME_MS));
	assert_int_equal(c.n, 2 + COMPLAINT_SAME_MS / 997 + 1);
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	c = (struct complaint){0};
	assert_true(complaint_due(&c, longer, 50));
	assert_false(complaint_due(&c, longer, 50 + COMPLAINT_SAME_MS - 1));
}

TEST(reasons_that_take_turns)
{
	struct complaint c = {0};
	unsigned n = 0;

	for (uint64_t now = 0; now < 100000; now++)
		n += complaint_due(&c, now % 2 ? "no right" : "no table", now);
	assert_in_range(n, 2, 10);
	assert_int_equal(c.n, 100000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(once_then_as_a_number),
		cmocka_unit_test(reasons_that_take_turns),
	};

	return cmocka_run_group_tests_name("complaint", tests, NULL, NULL);
}
