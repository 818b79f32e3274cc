/* SPDX-License-Identifier: PostgreSQL
 * hub/subscription: which channels are asked for, and who may hear them. */
#include "config.h"
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
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
		struct principal who = {0};
		const char *refused;

		who.user_id = xstrdup(cases[i].user);
		refused = subscription_refused(&k, &p, &who);
		if (cases[i].allowed)
			assert_null(refused);
		else
			assert_string_equal(refused, cases[i].name);
		assert_string_equal(subscription_refused(&k, &none, &who), cases[i].name);
		assert_null(subscription_refused(NULL, &none, &who));
		free(key);
		free(pattern);
		free(who.user_id);
	}
}

TEST(what_a_credential_grants)
{
	static const struct {
		const char *text;
		int n; /* -1: it is none */
	} cases[] = {
		{"", 0},	 {" , ,", 0},  {"a", 1},	 {"a,b", 2},
		{"a b\ta", 2},	 {"*", 1},     {"a.*,b*", 2},	 {"{a,\"b:c\",d*}", 3},
		{"{}", 0},	 {"a/b", -1},  {"**", -1},	 {"*a", -1},
		{"a*b", -1},	 {"a,#b", -1}, {"\xc3\xa4", -1}, {"a\nb", -1},
		{"{{user}}", 1}, /* the name "user" in an array of arrays, and no variable */
	};
	autobuf many = {.max = 10000};
	char longest[CHANNEL_MAX + 2];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct keys *k = subscription_grants(cases[i].text);

		if ((k ? (int)k->n : -1) != cases[i].n)
			fail_msg("\"%s\"", cases[i].text);
		free(k);
	}
	memset(longest, 'x', sizeof(longest));
	longest[CHANNEL_MAX + 1] = '\0';
	assert_null(subscription_grants(longest));
	for (int i = 0; i <= SUBSCRIPTION_MAX; i++)
		buf_printf(&many, "c%d,", i);
	assert_null(subscription_grants(buf_cstr(&many)));
}

TEST(role_and_credential)
{
	char board[] = "board.*", hall[] = "hall", star[] = "*";
	char *of_role[] = {board, hall}, *all[] = {star};
	struct scope_policy p = {.channels = of_role, .n_channels = 2},
			    open = {.channels = all, .n_channels = 1};
	struct principal who = {.granted = subscription_grants("board.1,board.2*,cellar")};
	struct subscription s = {0};
	struct keys *k;
	char *text;

	assert_true(subscription_add(&s, "board.1,board.22"));
	k = subscription_keys(&s);
	assert_null(subscription_refused(k, &p, &who));
	subscription_clear(&s);
	free(k);
	assert_true(subscription_add(&s, "hall")); /* the role may, the credential may not */
	k = subscription_keys(&s);
	assert_string_equal(subscription_refused(k, &p, &who), "hall");
	subscription_clear(&s);
	free(k);
	assert_true(
		subscription_join(&s, &p, &who)); /* cellar: the role may not; board.2*: no name */
	k = subscription_keys(&s);
	text = subscription_text(k);
	assert_string_equal(text, "board.1");
	free(text);
	free(k);
	assert_true(subscription_join(&s, &open, &who));
	k = subscription_keys(&s);
	text = subscription_text(k);
	assert_string_equal(text, "board.1,cellar");
	free(text);
	free(k);
	subscription_clear(&s);
	free(who.granted);
	who.granted = subscription_grants(""); /* none at all */
	assert_true(subscription_join(&s, &open, &who));
	assert_int_equal(s.n, 0);
	assert_true(subscription_add(&s, "x"));
	k = subscription_keys(&s);
	assert_string_equal(subscription_refused(k, &open, &who), "x");
	free(k);
	subscription_clear(&s);
	free(who.granted);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(no_more_than_so_many),
		cmocka_unit_test(keys_once_and_in_order),
		cmocka_unit_test(who_may_hear_them),
		cmocka_unit_test(what_a_credential_grants),
		cmocka_unit_test(role_and_credential),
	};

	return cmocka_run_group_tests_name("subscription", tests, NULL, NULL);
}
