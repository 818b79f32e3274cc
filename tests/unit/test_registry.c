/* SPDX-License-Identifier: PostgreSQL
 * hub/registry: counts and both limits, also from several threads. */
#include "config.h"
#include "unit.h"

#include <pthread.h>

#include "hub/registry.h"

struct sum {
	size_t users, streams, of_seven;
};

static void count(void *arg, const char *user_id, size_t n)
{
	struct sum *s = arg;

	assert_true(n > 0);
	s->users++;
	s->streams += n;
	if (!strcmp(user_id, "7"))
		s->of_seven = n;
}

static struct sum sums(struct registry *r)
{
	struct sum s = {0};

	registry_each(r, count, &s);
	assert_int_equal(s.streams, registry_streams(r));
	return s;
}

TEST(counts)
{
	struct registry *r = registry_new();

	assert_int_equal(sums(r).users, 0);
	assert_int_equal(registry_enter(r, "7"), REGISTRY_OK);
	assert_int_equal(registry_enter(r, "7"), REGISTRY_OK);
	assert_int_equal(registry_enter(r, "8"), REGISTRY_OK);
	assert_int_equal(sums(r).users, 2);
	assert_int_equal(sums(r).of_seven, 2);
	assert_int_equal(registry_streams(r), 3);
	registry_leave(r, "7");
	registry_leave(r, "8");
	assert_int_equal(sums(r).users, 1);
	registry_leave(r, "7");
	assert_int_equal(sums(r).users, 0);
	registry_free(r);
}

TEST(limits)
{
	struct registry *r = registry_new();

	registry_limit(r, 3, 2);
	assert_int_equal(registry_enter(r, "7"), REGISTRY_OK);
	assert_int_equal(registry_enter(r, "7"), REGISTRY_OK);
	assert_int_equal(registry_enter(r, "7"), REGISTRY_USER_FULL);
	assert_int_equal(registry_enter(r, "8"), REGISTRY_OK);
	assert_int_equal(registry_enter(r, "9"), REGISTRY_FULL);
	assert_int_equal(registry_enter(r, "7"), REGISTRY_FULL);
	assert_int_equal(registry_streams(r), 3); /* refused ones do not count */
	assert_int_equal(sums(r).users, 2);
	registry_limit(r, 1, 1); /* closes nothing */
	assert_int_equal(registry_streams(r), 3);
	assert_int_equal(registry_enter(r, "9"), REGISTRY_FULL);
	registry_limit(r, 0, 0);
	assert_int_equal(registry_enter(r, "7"), REGISTRY_OK);
	for (int i = 0; i < 3; i++)
		registry_leave(r, "7");
	registry_leave(r, "8");
	registry_free(r);
}

static void *come_and_go(void *arg)
{
	for (int i = 0; i < 20000; i++) {
		char id[8];

		snprintf(id, sizeof(id), "%d", i % 5);
		if (registry_enter(arg, id) == REGISTRY_OK)
			registry_leave(arg, id);
	}
	return NULL;
}

TEST(threads)
{
	struct registry *r = registry_new();
	pthread_t threads[3];

	registry_limit(r, 2, 1);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, r), 0);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(registry_streams(r), 0);
	registry_free(r);
}

TEST(probes_have_a_pace)
{
	struct registry *r = registry_new();

	assert_false(registry_probes(r, "7", 1000, 100)); /* nobody is there */
	assert_int_equal(registry_enter(r, "7"), REGISTRY_OK);
	assert_int_equal(registry_enter(r, "8"), REGISTRY_OK);
	assert_true(registry_probes(r, "7", 1000, 100));
	assert_false(registry_probes(r, "7", 1099, 100));
	assert_true(registry_probes(r, "8", 1099, 100));
	assert_true(registry_probes(r, "7", 1100, 100));
	registry_leave(r, "7");
	registry_leave(r, "8");
	registry_free(r);
}

TEST(places)
{
	struct registry *r = registry_new();

	assert_true(registry_sit(r, "a", 2));
	assert_true(registry_sit(r, "a", 2));
	assert_false(registry_sit(r, "a", 2));
	assert_true(registry_sit(r, "a", 3)); /* a reload */
	assert_true(registry_sit(r, "b", 1));
	assert_false(registry_sit(r, "c", 0));
	for (int i = 0; i < 3; i++)
		registry_rise(r, "a");
	assert_true(registry_sit(r, "a", 1));
	registry_rise(r, "a");
	registry_rise(r, "b");
	assert_int_equal(registry_streams(r), 0);
	registry_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts),  cmocka_unit_test(limits),
		cmocka_unit_test(threads), cmocka_unit_test(probes_have_a_pace),
		cmocka_unit_test(places),
	};

	return cmocka_run_group_tests_name("registry", tests, NULL, NULL);
}
