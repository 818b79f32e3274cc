/* SPDX-License-Identifier: PostgreSQL
 * hub/reason: the rule that is named is the one by which event_view() decides, for every operation,
 * role, key and filter. */
#include "config.h"
#include "unit.h"

#include "hub/filter.h"
#include "hub/reason.h"

/* What a rule may mean; VIEW_WHOLE of a resync is "fetch again". */
static bool may_be(enum reason_rule rule, enum scope_view view)
{
	switch (rule) {
	case RULE_REFETCH:
	case RULE_EVERYTHING:
	case RULE_EVERYBODY:
	case RULE_HIS:
		return view == VIEW_WHOLE;
	case RULE_ENTER:
		return view == VIEW_ENTER;
	case RULE_LEAVE:
		return view == VIEW_LEAVE;
	default:
		return view == VIEW_NOTHING;
	}
}

struct world {
	struct scope_policy policy;
	struct principal who;
	struct filter *filter;
};

static void compare(const struct event *e, const struct world *w)
{
	struct reason r = reason_of(e, &w->policy, &w->who, w->filter);
	enum scope_view view = event_view(e, &w->policy, &w->who);
	char *topics = NULL;

	if (view != VIEW_NOTHING && w->filter && !filter_wants_of(w->filter, e, &topics))
		view = VIEW_NOTHING;
	free(topics);
	if (r.view != view || !may_be(r.rule, view))
		fail_msg("op %c, receives %d: view %d, and it says %d by %s", e->op,
			 w->policy.receives, view, r.view, reason_name(r.rule));
	assert_true(!r.key || r.view != VIEW_NOTHING);
	assert_true(!r.key || keys_have(&e->before, r.key) || keys_have(&e->after, r.key) ||
		    !strcmp(r.key, w->who.user_id));
}

static void with_filters(const struct event *e, struct world *w)
{
	static char limit[] = "project.*";
	static char *const limits[] = {limit};

	compare(e, w);
	assert_true(filter_add_topics(&w->filter, "project"));
	compare(e, w);
	filter_free(w->filter);
	w->filter = NULL;
	filter_limit(&w->filter, limits, 1);
	compare(e, w);
	filter_free(w->filter);
	w->filter = NULL;
}

static void with_roles(const struct event *e, const char *user, struct keys *channels)
{
	char pattern[] = "estimate.*", other[] = "order.*", room[] = "room:*";
	char *one[] = {pattern}, *another[] = {other}, *rooms[] = {room};
	char *id = xstrdup(user), *role = xstrdup("r");

	for (int receives = RECEIVES_NONE; receives <= RECEIVES_ALL; receives++)
		for (int types = 0; types < 3; types++)
			for (int only = 0; only < 2; only++)
				for (int may = 0; may < 2; may++) {
					struct world w = {
						.policy = {.name = role,
							   .receives = receives,
							   .patterns = types == 1 ? one : another,
							   .n_patterns = types > 0,
							   .channels = rooms,
							   .n_channels = (size_t)may},
						.who = {.user_id = id,
							.role = role,
							.channels = channels,
							.channels_only = only == 1},
					};

					with_filters(e, &w);
				}
	free(id);
	free(role);
}

TEST(the_rule_is_the_one_that_decides)
{
	static const char *const owners[] = {NULL,	  "{}",	      "{2}", "{3}",  "{2,3}",
					     "{#room:1}", "{#other}", "{*}", "{=#2}"};
	static const char ops[] = "iudorftmaxvw?";
	const size_t n = sizeof(owners) / sizeof(*owners);
	char channel[] = "#room:1", *list[] = {channel};
	struct keys channels = {list, 1};

	for (const char *op = ops; *op; op++)
		for (size_t i = 0; i < n * n * 2; i++) {
			struct event_row row = {
				.op = *op,
				.keyed = i % 2,
				.topic = "estimate",
				.type = *op == 'm' ? "chat.said" : NULL,
				.doc = "{\"reason\":\"storm\"}",
				.before = owners[i / 2 % n],
				.after = owners[i / 2 / n],
			};
			struct event *e = event_new(&row);

			with_roles(e, "2", NULL);
			with_roles(e, "2", &channels);
			with_roles(e, "#2", NULL);
			event_unref(e);
		}
}

TEST(rules_by_name)
{
	char own[] = "2", role[] = "r", channel[] = "#room:1", *list[] = {channel};
	struct keys channels = {list, 1};
	const struct {
		char op;
		const char *before, *after;
		bool channels, only;
		int receives;
		const char *rule, *told, *key;
	} cases[] = {
		{'u', "{2}", "{2}", false, false, RECEIVES_OWN, "his", "whole", "2"},
		{'u', "{2}", "{3}", false, false, RECEIVES_OWN, "left-him", "leave", "2"},
		{'u', "{3}", "{2}", false, false, RECEIVES_OWN, "became-his", "enter", "2"},
		{'u', "{3}", "{3}", false, false, RECEIVES_OWN, "not-his", "nothing", NULL},
		{'u', "{3}", "{3}", false, false, RECEIVES_ALL, "receives-all", "whole", NULL},
		{'o', "{2}", "{3}", false, false, RECEIVES_ALL, "owners-only", "nothing", NULL},
		{'o', "{2}", "{2}", false, false, RECEIVES_OWN, "still-his", "nothing", NULL},
		{'u', "{2}", "{2}", false, true, RECEIVES_OWN, "channels-only", "nothing", NULL},
		{'u', "{2}", "{2}", false, false, RECEIVES_NONE, "receives-none", "nothing", NULL},
		{'r', NULL, NULL, false, false, RECEIVES_OWN, "fetch-again", "fetch again", NULL},
		{'f', "{2}", "{}", false, false, RECEIVES_OWN, "his", "fetch again", "2"},
		{'a', "{2}", "{}", false, false, RECEIVES_ALL, "nobody", "nothing", NULL},
		{'m', "{}", "{*}", false, false, RECEIVES_ALL, "everybody", "whole", "*"},
		{'m', "{}", "{#room:1}", true, true, RECEIVES_OWN, "his", "whole", "#room:1"},
		{'m', "{}", "{#room:1}", false, false, RECEIVES_ALL, "not-subscribed", "nothing",
		 NULL},
		{'m', "{}", "{#x}", false, false, RECEIVES_ALL, "role-channels", "nothing", NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char room[] = "room:*", *rooms[] = {room};
		struct event_row row = {.op = cases[i].op,
					.keyed = true,
					.topic = "estimate",
					.before = cases[i].before,
					.after = cases[i].after};
		struct scope_policy policy = {
			.receives = cases[i].receives, .channels = rooms, .n_channels = 1};
		struct principal who = {.user_id = own,
					.role = role,
					.channels = cases[i].channels ? &channels : NULL,
					.channels_only = cases[i].only};
		struct event *e = event_new(&row);
		struct reason r = reason_of(e, &policy, &who, NULL);

		assert_string_equal(reason_name(r.rule), cases[i].rule);
		assert_string_equal(reason_told(e, r.view), cases[i].told);
		assert_true(!r.key == !cases[i].key);
		if (r.key)
			assert_string_equal(r.key, cases[i].key);
		event_unref(e);
	}
	assert_string_equal(reason_name(reason_of(NULL, NULL, NULL, NULL).rule), "no-role");
	for (int i = 0; i < N_RULES; i++)
		assert_non_null(reason_sentence((enum reason_rule)i));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_rule_is_the_one_that_decides),
		cmocka_unit_test(rules_by_name),
	};

	return cmocka_run_group_tests_name("reason", tests, NULL, NULL);
}
