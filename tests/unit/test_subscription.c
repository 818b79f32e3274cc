/* SPDX-License-Identifier: PostgreSQL
 * hub/subscription: which channels are asked for, and who may hear them. */
#include "config.h"
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "hub/subscription.h"

TEST(names)
{
	static const char *const good[] = {"a", "project.7", "chat:1-2", "A_z@example.org",
					   "a,b,a"},
				 *const bad[] = {"",   "a,",  ",a", "a,,b",   "a b", "#a",
						 "a*", "a/b", "ä",  "{user}", "a\n", "*"};
	char longest[CHANNEL_MAX + 2];

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		struct subscription s = {0};

		assert_true(subscription_add(&s, good[i]));
		subscription_clear(&s);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct subscription s = {0};

		assert_false(subscription_add(&s, bad[i]));
		subscription_clear(&s);
	}
	memset(longest, 'x', sizeof(longest));
	assert_true(channel_is_name(longest, CHANNEL_MAX));
	assert_false(channel_is_name(longest, CHANNEL_MAX + 1));
}

TEST(no_more_than_so_many)
{
	struct subscription s = {0};

	for (size_t i = 0; i < SUBSCRIPTION_MAX; i++)
		assert_true(subscription_add(&s, "x"));
	assert_false(subscription_add(&s, "x"));
	subscription_clear(&s);
	assert_null(subscription_keys(&s));
}

TEST(keys_once_and_in_order)
{
	struct subscription s = {0};
	struct keys *k;
	char *text;

	assert_true(subscription_add(&s, "b,a"));
	assert_true(subscription_add(&s, "b"));
	k = subscription_keys(&s);
	subscription_clear(&s);
	assert_int_equal(k->n, 2);
	assert_string_equal(k->list[0], "#a");
	assert_string_equal(k->list[1], "#b");
	text = subscription_text(k);
	assert_string_equal(text, "a,b");
	free(text);
	free(k);
	text = subscription_text(NULL);
	assert_string_equal(text, "");
	free(text);
	assert_null(keys_copy(NULL));
}

TEST(who_may_hear_them)
{
	static const struct {
		const char *pattern, *user, *name;
		bool allowed;
	} cases[] = {
		{"news", "1", "news", true},
		{"news", "1", "new", false},
		{"news", "1", "newss", false},
		{"project.*", "1", "project.7", true},
		{"project.*", "1", "project.", true},
		{"project.*", "1", "project", false},
		{"project.*", "1", "projects.7", false},
		{"*", "1", "anything", true},
		{"user.{user}", "17", "user.17", true},
		{"user.{user}", "17", "user.1", false},
		{"user.{user}", "1", "user.17", false},
		{"user.{user}.*", "1", "user.1.x", true},
		{"user.{user}.*", "1", "user.17.x", false},
		{"{user}", "*", "x", false}, /* an id is no pattern */
		{"{user}", "{user}", "x", false},
		{"a*b", "1", "a*b", true}, /* in the middle it is a star, which no name has */
		{"a*b", "1", "axb", false},
		{"", "1", "x", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char *pattern = xstrdup(cases[i].pattern), *key = xasprintf("#%s", cases[i].name);
		struct scope_policy p = {.channels = &pattern, .n_channels = 1}, none = {0};
		struct keys k = {&key, 1};
		const char *refused;

		refused = subscription_refused(&k, &p, cases[i].user);
		if (cases[i].allowed)
			assert_null(refused);
		else
			assert_string_equal(refused, cases[i].name);
		assert_string_equal(subscription_refused(&k, &none, "1"), cases[i].name);
		assert_null(subscription_refused(NULL, &none, "1"));
		free(key);
		free(pattern);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(no_more_than_so_many),
		cmocka_unit_test(keys_once_and_in_order),
		cmocka_unit_test(who_may_hear_them),
	};

	return cmocka_run_group_tests_name("subscription", tests, NULL, NULL);
}
