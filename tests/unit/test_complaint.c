/* SPDX-License-Identifier: PostgreSQL
 * base/complaint: what comes again is counted. */
#include "config.h"
#include "unit.h"

#include <stdio.h>
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
	char why[] = "no 0";

	for (uint64_t now = 50; now < 1050; now++) { /* each once, at its first time */
		why[3] = (char)('0' + now % COMPLAINT_REASONS);
		assert_int_equal(complaint_due(&c, why, now), now < 50 + COMPLAINT_REASONS);
	}
	assert_int_equal(c.n, 1000);
}

/* A reason that is new each time is no reason to write a line each time. */
TEST(more_reasons_than_can_be_kept)
{
	struct complaint c = {0};
	unsigned n = 0;
	char why[40];

	for (uint64_t now = 50; now < 50 + 10 * COMPLAINT_OTHER_MS; now++) {
		snprintf(why, sizeof(why), "transaction %d", (int)now);
		n += complaint_due(&c, why, now);
	}
	assert_int_equal(n, 10 * COMPLAINT_REASONS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(once_then_as_a_number),
		cmocka_unit_test(reasons_that_take_turns),
		cmocka_unit_test(more_reasons_than_can_be_kept),
	};

	return cmocka_run_group_tests_name("complaint", tests, NULL, NULL);
}
