/* SPDX-License-Identifier: PostgreSQL
 * web/quota: each limit has buckets of its own, whatever users and channels are called. */
#include "config.h"
#include "unit.h"

#include "base/address.h"
#include "conf.h"
#include "hub/subscription.h"
#include "web/commons.h"
#include "web/quota.h"

static struct commons commons;
static struct conf_route route;

static struct quota_asker asker(const char *user, const char *from)
{
	static struct address address;

	assert_true(address_parse(&address, from, strlen(from)));
	return (struct quota_asker){&commons, &route, user, &address, 1000000};
}

static void begin(void)
{
	static char name[] = "r";

	commons_init(&commons);
	route = (struct conf_route){.name = name};
}

TEST(a_user_named_like_an_address)
{
	struct quota_asker a;
	uint64_t wait_ms;

	begin();
	route.opens_per_address = route.opens_per_user = 1;
	a = asker("192.0.2.1", "192.0.2.1");
	assert_int_equal(quota_come(&a, &wait_ms), N_TALLIES);
	assert_int_equal(quota_open(&a, NULL, &wait_ms), N_TALLIES);
	assert_int_equal(quota_come(&a, &wait_ms), TALLY_ADDRESS_OPENS);
	assert_int_equal(quota_open(&a, NULL, &wait_ms), TALLY_USER_OPENS);
	commons_free(&commons);
}

TEST(a_user_named_like_a_channel_or_a_kind)
{
	static const char *const users[] = {"to #a", "from 192.0.2.1", "", " ", "user", "#a"};
	struct subscription channels = {.n = 0};
	struct keys *keys;
	uint64_t wait_ms;

	begin();
	route.opens_per_user = route.subscribes_per_user = route.publishes_per_user = 1;
	route.opens_per_channel = route.subscribes_per_channel = 6;
	route.publishes_per_channel = route.publishes = route.subscribes = route.opens_in_all = 6;
	assert_true(subscription_add(&channels, "a"));
	keys = subscription_keys(&channels);
	for (size_t i = 0; i < 6; i++) {
		struct quota_asker a = asker(users[i], "192.0.2.1");

		assert_int_equal(quota_open(&a, keys, &wait_ms), N_TALLIES);
		assert_int_equal(quota_subscribe(&a, &wait_ms), N_TALLIES);
		assert_int_equal(quota_subscribe_to(&a, &channels, &wait_ms), N_TALLIES);
		assert_int_equal(quota_publish(&a, &wait_ms), N_TALLIES);
		assert_int_equal(quota_publish_to(&a, "a", &wait_ms), N_TALLIES);
	}
	free(keys);
	subscription_clear(&channels);
	commons_free(&commons);
}

TEST(of_all_an_address_and_a_channel)
{
	struct subscription channels = {.n = 0};
	struct quota_asker a, b;
	struct keys *keys;
	uint64_t wait_ms = 0;

	begin();
	assert_true(subscription_add(&channels, "a,b"));
	keys = subscription_keys(&channels);
	a = asker("1", "192.0.2.1");
	for (int i = 0; i < 1000; i++) { /* no limit */
		assert_int_equal(quota_open(&a, keys, &wait_ms), N_TALLIES);
		assert_int_equal(quota_subscribe(&a, &wait_ms), N_TALLIES);
		assert_int_equal(quota_subscribe_to(&a, &channels, &wait_ms), N_TALLIES);
	}
	route.opens_in_all = 2;
	assert_int_equal(quota_open(&a, NULL, &wait_ms), N_TALLIES);
	a.user_id = "2";
	assert_int_equal(quota_open(&a, keys, &wait_ms), N_TALLIES);
	assert_int_equal(quota_open(&a, keys, &wait_ms), TALLY_ROUTE_OPENS);
	assert_in_range(wait_ms, 29000, 30001);
	assert_int_equal(quota_status(TALLY_ROUTE_OPENS), 503);
	route.opens_per_channel = 1;
	route.opens_in_all = 0;
	assert_int_equal(quota_open(&a, keys, &wait_ms), N_TALLIES);
	assert_int_equal(quota_open(&a, keys, &wait_ms), TALLY_CHANNEL_OPENS);
	assert_int_equal(quota_open(&a, NULL, &wait_ms), N_TALLIES);
	route.subscribes_per_address = route.subscribes = 1;
	assert_int_equal(quota_subscribe(&a, &wait_ms), N_TALLIES);
	assert_int_equal(quota_subscribe(&a, &wait_ms), TALLY_ADDRESS_SUBSCRIBES);
	b = asker("3", "192.0.2.2");
	assert_int_equal(quota_subscribe(&b, &wait_ms), TALLY_ROUTE_SUBSCRIBES);
	route.subscribes_per_channel = 1;
	assert_int_equal(quota_subscribe_to(&b, &channels, &wait_ms), N_TALLIES);
	assert_int_equal(quota_subscribe_to(&b, &channels, &wait_ms), TALLY_CHANNEL_SUBSCRIBES);
	assert_int_equal(quota_status(TALLY_CHANNEL_SUBSCRIBES), 429);
	free(keys);
	subscription_clear(&channels);
	commons_free(&commons);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_user_named_like_an_address),
		cmocka_unit_test(a_user_named_like_a_channel_or_a_kind),
		cmocka_unit_test(of_all_an_address_and_a_channel),
	};

	return cmocka_run_group_tests_name("quota", tests, NULL, NULL);
}
