/* SPDX-License-Identifier: PostgreSQL
 * pg/doorbell: when the lock is asked for, let go of, and how often to look meanwhile. */
#include "config.h"
#include "unit.h"

#include "pg/doorbell.h"

#define ORDINARY 1000

static void wake(struct doorbell *d, uint64_t *now)
{
	for (int i = 1; i < WAKE_RINGS; i++)
		assert_false(doorbell_rung(d, ++*now));
	assert_true(doorbell_rung(d, ++*now));
	doorbell_answered(d, *now, true, false);
	assert_int_equal(d->state, BELL_AWAKE);
}

TEST(few_rings_do_not_wake)
{
	struct doorbell d;
	uint64_t now = 1000;

	doorbell_reset(&d, false);
	assert_int_equal(doorbell_poll_ms(&d, ORDINARY), ORDINARY);
	for (int i = 0; i < 1000; i++) /* 100 a second */
		assert_false(doorbell_rung(&d, now += 10));
	assert_int_equal(d.state, BELL_ASLEEP);
}

TEST(many_rings_wake_and_quiet_lets_go)
{
	struct doorbell d;
	uint64_t now = 1000;

	doorbell_reset(&d, false);
	wake(&d, &now);
	assert_int_equal(doorbell_poll_ms(&d, ORDINARY), AWAKE_POLL_MS);
	assert_false(doorbell_rung(&d, now));	/* rings of before the lock are of no interest */
	for (int i = 0; i < 400; i++, now += 5) /* one transaction per look: 200 a second */
		assert_false(doorbell_looked(&d, now, 1, 50, 60));
	while (!doorbell_looked(&d, now, 0, 50, 60))
		assert_in_range(now += 5, 0, 1000 + 5000);
	doorbell_let_go(&d, now);
	assert_int_equal(doorbell_poll_ms(&d, ORDINARY), DROWSY_POLL_MS);
	/* The first look after it says who may have seen the lock: all below 70. */
	assert_false(doorbell_looked(&d, now += 20, 0, 50, 70));
	assert_false(doorbell_looked(&d, now += 20, 0, 69, 90));
	assert_int_equal(d.state, BELL_DROWSY);
	assert_false(doorbell_looked(&d, now += 20, 0, 70, 90));
	assert_int_equal(d.state, BELL_ASLEEP);
}

TEST(a_transaction_of_hours_does_not_keep_it_up)
{
	struct doorbell d;
	uint64_t now = 1000, until;

	doorbell_reset(&d, false);
	wake(&d, &now);
	doorbell_let_go(&d, now);
	until = now + DROWSY_MAX_MS;
	while (d.state == BELL_DROWSY)
		assert_false(doorbell_looked(&d, now += 20, 0, 5, 70));
	assert_in_range(now, until, until + 20);
}

TEST(nothing_to_see_at_once_after_letting_go)
{
	struct doorbell d;
	uint64_t now = 1000;

	doorbell_reset(&d, false);
	wake(&d, &now);
	doorbell_let_go(&d, now);
	assert_false(doorbell_looked(&d, now, 0, 70, 70)); /* nobody runs */
	assert_int_equal(d.state, BELL_ASLEEP);
}

TEST(another_keeper)
{
	struct doorbell d;
	uint64_t now = 1000, asked = 0;

	doorbell_reset(&d, false);
	for (int i = 0; i < 1000; i++) /* a thousand a second, for a second */
		if (doorbell_rung(&d, ++now)) {
			doorbell_answered(&d, now, false, true);
			asked++;
		}
	assert_in_range(asked, 3, 1000 / TRY_AGAIN_MS + 1);
	assert_int_equal(doorbell_poll_ms(&d, ORDINARY), ORDINARY);
	assert_false(doorbell_relay(&d, now)); /* not the keeper */
}

TEST(the_keeper_rings_for_others_now_and_then)
{
	struct doorbell d;
	uint64_t now = 1000, rings = 0;

	doorbell_reset(&d, false);
	wake(&d, &now);
	assert_false(doorbell_relay(&d, now)); /* alone */
	doorbell_answered(&d, now, true, true);
	for (int i = 0; i < 1000; i++)
		rings += doorbell_relay(&d, ++now);
	assert_in_range(rings, 1000 / RELAY_MS - 2, 1000 / RELAY_MS + 2);
}

TEST(a_server_where_nobody_rings_is_looked_at_more_often)
{
	struct doorbell d;

	doorbell_reset(&d, true);
	assert_int_equal(doorbell_poll_ms(&d, ORDINARY), SILENT_POLL_MS);
	assert_int_equal(doorbell_poll_ms(&d, 10), 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(few_rings_do_not_wake),
		cmocka_unit_test(many_rings_wake_and_quiet_lets_go),
		cmocka_unit_test(a_transaction_of_hours_does_not_keep_it_up),
		cmocka_unit_test(nothing_to_see_at_once_after_letting_go),
		cmocka_unit_test(another_keeper),
		cmocka_unit_test(the_keeper_rings_for_others_now_and_then),
		cmocka_unit_test(a_server_where_nobody_rings_is_looked_at_more_often),
	};

	return cmocka_run_group_tests_name("doorbell", tests, NULL, NULL);
}
