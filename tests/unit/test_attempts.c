/* SPDX-License-Identifier: PostgreSQL
 * auth/attempts: who guesses waits, who is known does not, and nobody gets rid of what he owes. */
#include "config.h"
#include "unit.h"

#include "auth/attempts.h"

#define MAX    10
#define WINDOW 60000

static struct attempts *a;

static int start(void **state)
{
	(void)state;
	a = xcalloc(1, sizeof(*a));
	attempts_init(a);
	attempts_limit(a, MAX, WINDOW);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	attempts_free(a);
	free(a);
	return 0;
}

static struct address from(const char *text)
{
	struct address x = {{0}};

	assert_true(address_parse(&x, text, strlen(text)));
	return x;
}

/* 0 when it may be looked up, else the milliseconds to wait. */
static uint64_t wait_of(const char *text, const char *credential, uint64_t now)
{
	struct address x = from(text);
	uint64_t ms = 0;

	return attempts_allow(a, &x, credential, now, &ms) ? 0 : ms;
}

static void guess(const char *text, int n, uint64_t now)
{
	struct address x = from(text);

	while (n--)
		attempts_failed(a, &x, now);
}

static void good(const char *text, const char *credential, uint64_t now)
{
	struct address x = from(text);

	attempts_good(a, &x, credential, now);
}

TEST(a_bucket_empties_and_refills)
{
	guess("192.0.2.1", MAX - 1, 1000);
	assert_int_equal(wait_of("192.0.2.1", "x", 1000), 0); /* one more is allowed */
	guess("192.0.2.1", 1, 1000);
	assert_in_range(wait_of("192.0.2.1", "x", 1000), WINDOW / MAX, WINDOW / MAX + 1);
	assert_int_equal(wait_of("192.0.2.2", "x", 1000), 0); /* somebody else */
	assert_int_not_equal(wait_of("192.0.2.1", "x", 1000 + WINDOW / MAX - 1), 0);
	assert_int_equal(wait_of("192.0.2.1", "x", 1000 + WINDOW / MAX), 0);
	guess("192.0.2.1", 1, 1000 + WINDOW / MAX); /* a failure each time one has come back */
	assert_int_not_equal(wait_of("192.0.2.1", "x", 1000 + WINDOW / MAX), 0);
	assert_int_equal(wait_of("192.0.2.1", "x", 1000 + 2 * WINDOW / MAX), 0);
}

TEST(an_overdraft_has_a_bound)
{
	guess("192.0.2.1", 100000, 1000); /* all of them were under way at once */
	assert_int_not_equal(wait_of("192.0.2.1", "x", 1000 + WINDOW), 0);
	assert_int_equal(wait_of("192.0.2.1", "x", 1000 + WINDOW + WINDOW / MAX), 0);
}

TEST(who_is_known_passes)
{
	good("192.0.2.1", "known", 1000);
	guess("192.0.2.1", 5 * MAX, 1000);
	assert_int_equal(wait_of("192.0.2.1", "known", 1000), 0);
	assert_int_equal(wait_of("192.0.2.9", "known", 1000), 0);
	assert_int_not_equal(wait_of("192.0.2.1", "unknown", 1000), 0);
	assert_int_not_equal(wait_of("192.0.2.1", "", 1000), 0);
}

/* After a restart nobody is known, and some of many have credentials that have ended. */
TEST(many_who_come_in_make_up_for_few_who_do_not)
{
	char credential[20];

	for (int i = 0; i < 2000; i++) {
		snprintf(credential, sizeof(credential), "c%d", i);
		assert_int_equal(wait_of("192.0.2.1", credential, 1000), 0);
		if (i % 3 == 0)
			guess("192.0.2.1", 1, 1000);
		else
			good("192.0.2.1", credential, 1000);
	}
	/* The same credential again and again gives nothing back: it would be a licence to guess.
	 */
	good("192.0.2.1", "mine", 1000);
	guess("192.0.2.1", MAX, 1000);
	for (int i = 0; i < 1000; i++)
		good("192.0.2.1", "mine", 1000);
	assert_int_not_equal(wait_of("192.0.2.1", "x", 1000), 0);
}

TEST(of_ipv6_a_network_is_one)
{
	guess("2001:db8:1:2::1", MAX, 1000);
	assert_int_not_equal(wait_of("2001:db8:1:2:ffff::9", "x", 1000), 0);
	assert_int_equal(wait_of("2001:db8:1:3::1", "x", 1000), 0);
}

/* Somebody has very many addresses, and fails once from each, to be forgotten. */
TEST(nobody_is_let_off_by_crowding)
{
	char text[40];

	guess("192.0.2.1", MAX, 1000);
	for (int i = 0; i < 200000; i++) {
		snprintf(text, sizeof(text), "2001:db8:%x:%x::1", i / 65536, i % 65536);
		guess(text, 1, 1000);
	}
	assert_int_not_equal(wait_of("192.0.2.1", "x", 1000), 0);
}

TEST(the_credentials_used_last_are_known)
{
	char credential[20];
	int n = 0;

	for (int i = 0; i < 4 * ATTEMPTS_KNOWN * ATTEMPTS_WAYS; i++) {
		snprintf(credential, sizeof(credential), "c%d", i);
		good("192.0.2.1", credential, 1000);
		good("192.0.2.1", "always", 1000);
	}
	guess("192.0.2.1", 2 * MAX, 1000);
	assert_int_equal(wait_of("192.0.2.1", "always", 1000), 0);
	for (int i = 0; i < 100; i++) {
		snprintf(credential, sizeof(credential), "c%d",
			 4 * ATTEMPTS_KNOWN * ATTEMPTS_WAYS - 1 - i);
		n += wait_of("192.0.2.1", credential, 1000) == 0;
	}
	assert_in_range(n, 90, 100);
}

TEST(no_limit)
{
	attempts_limit(a, 0, WINDOW);
	guess("192.0.2.1", 100000, 1000);
	assert_int_equal(wait_of("192.0.2.1", "x", 1000), 0);
	good("192.0.2.1", "x", 1000);
	attempts_limit(a, 1, WINDOW);
	guess("192.0.2.1", 1, 1000);
	assert_int_not_equal(wait_of("192.0.2.1", "y", 1000), 0);
	assert_int_equal(wait_of("192.0.2.1", "x", 1000), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_bucket_empties_and_refills, start, stop),
		cmocka_unit_test_setup_teardown(an_overdraft_has_a_bound, start, stop),
		cmocka_unit_test_setup_teardown(who_is_known_passes, start, stop),
		cmocka_unit_test_setup_teardown(many_who_come_in_make_up_for_few_who_do_not, start,
						stop),
		cmocka_unit_test_setup_teardown(of_ipv6_a_network_is_one, start, stop),
		cmocka_unit_test_setup_teardown(nobody_is_let_off_by_crowding, start, stop),
		cmocka_unit_test_setup_teardown(the_credentials_used_last_are_known, start, stop),
		cmocka_unit_test_setup_teardown(no_limit, start, stop),
	};

	return cmocka_run_group_tests_name("attempts", tests, NULL, NULL);
}
