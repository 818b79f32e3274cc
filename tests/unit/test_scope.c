/* SPDX-License-Identifier: PostgreSQL
 * hub/scope: who may hear what, as a table. */
#include "config.h"
#include "unit.h"

#include "hub/scope.h"

TEST(patterns)
{
	static const struct {
		const char *pattern, *type;
		bool allowed;
	} cases[] = {
		{"*", "estimate.updated", true},
		{"estimate.*", "estimate.updated", true},
		{"estimate.*", "estimate.created", true},
		{"estimate.*", "estimates.created", false},
		{"estimate.*", "estimate", false},
		{"estimate.updated", "estimate.updated", true},
		{"estimate.updated", "estimate.updated2", false},
		{"estimate.updated", "estimate.update", false},
		{"estimate*", "estimate.updated", false}, /* the dot counts */
		{"*.updated", "estimate.updated", false},
		{".*", ".x", true},
		{"", "estimate.updated", false},
		{"", "", true},
		{"ESTIMATE.*", "estimate.updated", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char pattern[40];
		char *patterns[] = {pattern};
		struct scope_policy p = {.patterns = patterns, .n_patterns = 1};

		snprintf(pattern, sizeof(pattern), "%s", cases[i].pattern);
		if (scope_type_allowed(&p, cases[i].type) != cases[i].allowed)
			fail_msg("%s against %s", cases[i].pattern, cases[i].type);
	}
}

TEST(any_pattern_will_do_and_none_means_all)
{
	char a[] = "a.*", b[] = "b.deleted";
	char *patterns[] = {a, b};
	struct scope_policy p = {.patterns = patterns, .n_patterns = 2}, all = {0};

	assert_true(scope_type_allowed(&p, "a.created"));
	assert_true(scope_type_allowed(&p, "b.deleted"));
	assert_false(scope_type_allowed(&p, "b.created"));
	assert_true(scope_type_allowed(&all, "b.created"));
}

TEST(own_views)
{
	static const struct {
		char op;
		bool before, after;
		enum scope_view view;
	} cases[] = {
		{'i', false, false, VIEW_NOTHING}, {'i', false, true, VIEW_WHOLE},
		{'i', true, false, VIEW_NOTHING},  {'u', false, false, VIEW_NOTHING},
		{'u', false, true, VIEW_ENTER},	   {'u', true, true, VIEW_WHOLE},
		{'u', true, false, VIEW_LEAVE},	   {'d', true, false, VIEW_WHOLE},
		{'d', false, true, VIEW_LEAVE},	   {'d', false, false, VIEW_NOTHING},
		{'d', true, true, VIEW_WHOLE},	   {'o', true, true, VIEW_NOTHING},
		{'o', true, false, VIEW_LEAVE},	   {'o', false, true, VIEW_ENTER},
		{'f', true, false, VIEW_WHOLE},	   {'f', false, true, VIEW_WHOLE},
		{'f', true, true, VIEW_WHOLE},	   {'f', false, false, VIEW_NOTHING},
		{'m', false, true, VIEW_WHOLE},	   {'m', true, false, VIEW_NOTHING},
		{'x', true, true, VIEW_NOTHING}, /* fails closed */
		{0, true, true, VIEW_NOTHING},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_int_equal(scope_own_view(cases[i].op, cases[i].before, cases[i].after),
				 cases[i].view);
}

TEST(owners)
{
	char one[] = "1", ten[] = "10";
	char *keys[] = {ten, one, ten};
	struct keys o = {keys, 3}, none = {0};

	keys_sort(&o);
	keys_sort(&none);
	assert_int_equal(o.n, 2);

	assert_true(keys_have(&o, "1"));
	assert_true(keys_have(&o, "10"));
	assert_false(keys_have(&o, "100"));
	assert_false(keys_have(&o, ""));
	assert_false(keys_have(&o, "1 "));
	assert_false(keys_have(&none, "1"));
	principal_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(patterns),
		cmocka_unit_test(any_pattern_will_do_and_none_means_all),
		cmocka_unit_test(own_views),
		cmocka_unit_test(owners),
	};

	return cmocka_run_group_tests_name("scope", tests, NULL, NULL);
}
