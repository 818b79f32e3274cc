/* SPDX-License-Identifier: PostgreSQL
 * hub/filter: which events are wanted, and which resyncs. */
#include "config.h"
#include "unit.h"

#include "hub/event.h"
#include "hub/filter.h"

static struct filter *filter(const char *types, const char *topics)
{
	struct filter *f = NULL;

	assert_true(!types || filter_add_types(&f, types));
	assert_true(!topics || filter_add_topics(&f, topics));
	return f;
}

static bool wants(const struct filter *f, const char *topic, char op, const char *type)
{
	struct event_row row = {.op = op, .topic = topic, .type = type, .doc = "{}", .cursor = "x"};
	struct event *e = event_new(&row);
	bool yes = filter_wants(f, e);

	event_unref(e);
	return yes;
}

TEST(types_and_topics)
{
	struct filter *f = filter("estimate.updated,project.*", NULL);

	assert_true(wants(f, "estimate", 'u', NULL));
	assert_false(wants(f, "estimate", 'i', NULL));
	assert_true(wants(f, "project", 'd', NULL));
	assert_false(wants(f, "projects", 'd', NULL));
	filter_free(f);
	f = filter(NULL, "estimate,project.*");
	assert_true(wants(f, "estimate", 'i', NULL));
	assert_true(wants(f, "project", 'i', NULL));
	assert_false(wants(f, "order", 'i', NULL));
	filter_free(f);
	f = filter("*.updated,estimate.updated", "estimate"); /* both must agree */
	assert_true(wants(f, "estimate", 'u', NULL));
	assert_false(wants(f, "estimate", 'd', NULL));
	assert_false(wants(f, "project", 'u', NULL));
	filter_free(f);
	f = filter("*", "*");
	assert_true(wants(f, "anything", 'u', NULL));
	filter_free(f);
}

/* What a route tells bounds what can be asked for. */
TEST(limits)
{
	static char chat[] = "chat.*", task[] = "task_started";
	char *const types[] = {chat, task};
	struct filter *f = NULL;
	char *topics;

	filter_limit(&f, types, 0);
	assert_null(f);
	filter_limit(&f, types, 2);
	assert_true(wants(f, NULL, 'i', "chat.message") && wants(f, NULL, 'i', "task_started"));
	assert_false(wants(f, "estimate", 'u', NULL));
	topics = filter_topics(f, "[\"estimate\", \"chat\"]");
	assert_string_equal(topics, "[\"chat\"]");
	free(topics);
	filter_free(f);
	f = filter("*", NULL);
	filter_limit(&f, types, 2);
	assert_false(wants(f, "estimate", 'u', NULL));
	filter_free(f);
	f = filter("chat.message,estimate.updated", NULL);
	filter_limit(&f, types, 2);
	assert_true(wants(f, NULL, 'i', "chat.message"));
	assert_false(wants(f, NULL, 'i', "chat.typing") || wants(f, "estimate", 'u', NULL));
	filter_free(f);
}

TEST(the_applications_own_events)
{
	struct filter *f = filter("chat.message", NULL);

	assert_true(wants(f, NULL, 'i', "chat.message"));
	assert_false(wants(f, NULL, 'i', "chat.typing"));
	filter_free(f);
	f = filter(NULL, "chat");
	assert_true(wants(f, NULL, 'i', "chat.room.message"));
	assert_true(wants(f, NULL, 'i', "chat"));
	assert_false(wants(f, NULL, 'i', "chats.x"));
	filter_free(f);
}

static void expect_topics(const char *types, const char *topics, const char *all, const char *want)
{
	struct filter *f = filter(types, topics);
	char *got = filter_topics(f, all);

	if (want)
		assert_string_equal(got, want);
	else
		assert_null(got);
	free(got);
	filter_free(f);
}

TEST(topics_of_a_resync)
{
	static const char all[] = "[\"estimate\", \"project\", \"or\\\"der\"]";

	expect_topics(NULL, "project", all, "[\"project\"]");
	expect_topics("project.deleted", NULL, all, "[\"project\"]");
	expect_topics("project.*,estimate.updated", NULL, all, "[\"estimate\", \"project\"]");
	expect_topics("*", NULL, all, all);
	expect_topics("project.*", "estimate", all, NULL);
	expect_topics(NULL, "or\"der", all, "[\"or\\\"der\"]");
	expect_topics(NULL, "x", "[]", NULL);
	expect_topics(NULL, "x", "no JSON", NULL);
}

TEST(lists)
{
	static const char *const bad[] = {"", ",", "a,", ",a", "a,,b"};
	char many[FILTER_ITEMS_MAX * 2 + 2], name[FILTER_ITEM_MAX + 2];
	struct filter *f = NULL;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_false(filter_add_types(&f, bad[i]));
		filter_free(f);
		f = NULL;
	}
	memset(name, 'x', sizeof(name));
	name[FILTER_ITEM_MAX + 1] = '\0';
	assert_false(filter_add_topics(&f, name));
	name[FILTER_ITEM_MAX] = '\0';
	assert_true(filter_add_topics(&f, name));
	filter_free(f);
	f = NULL;
	for (size_t i = 0; i < FILTER_ITEMS_MAX; i++)
		memcpy(many + 2 * i, "a,", 2);
	many[2 * FILTER_ITEMS_MAX - 1] = '\0';
	assert_true(filter_add_types(&f, many));
	assert_false(filter_add_types(&f, "b"));
	assert_true(filter_add_topics(&f, "b")); /* each list has its own bound */
	filter_free(f);
	filter_free(NULL);
}

static void expect_join(struct filter *f, const char *types, const char *topics, bool ok)
{
	struct filter *more = filter(types, topics);

	assert_int_equal(filter_join(f, more), ok);
	filter_free(more);
}

static void expect_drop(struct filter *f, const char *types, const char *topics, bool ok)
{
	struct filter *less = filter(types, topics);

	assert_int_equal(filter_drop(f, less), ok);
	filter_free(less);
}

TEST(joined_and_dropped)
{
	struct filter *f = filter(NULL, "estimate");
	char name[] = "topic0000";

	expect_join(f, NULL, "estimate,project,project", true);
	assert_int_equal(f->n_topics, 2);
	expect_join(f, "project.created", NULL, true); /* of all types already */
	assert_int_equal(f->n_types, 0);
	assert_true(wants(f, "project", 'u', NULL));
	expect_drop(f, "project.created", "project", false); /* nothing of it */
	assert_int_equal(f->n_topics, 2);
	expect_drop(f, NULL, "project,never", true);
	assert_false(wants(f, "project", 'u', NULL));
	assert_true(wants(f, "estimate", 'u', NULL));
	expect_drop(f, NULL, "estimate", true);
	assert_false(wants(f, "estimate", 'u', NULL));
	assert_null(filter_topics(f, "[\"estimate\", \"project\"]"));
	expect_drop(f, NULL, "estimate", true); /* none to drop, and not all again */
	assert_false(wants(f, "estimate", 'u', NULL));
	expect_join(f, NULL, "project", true);
	assert_true(wants(f, "project", 'u', NULL));
	assert_false(wants(f, "estimate", 'u', NULL));
	for (int i = 1; i < FILTER_ITEMS_MAX; i++) {
		name[7] = (char)('0' + i / 10);
		name[8] = (char)('0' + i % 10);
		expect_join(f, NULL, name, true);
	}
	expect_join(f, NULL, "one-more", false);
	expect_join(f, NULL, "project", true);
	assert_int_equal(f->n_topics, FILTER_ITEMS_MAX);
	filter_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(types_and_topics),   cmocka_unit_test(the_applications_own_events),
		cmocka_unit_test(topics_of_a_resync), cmocka_unit_test(lists),
		cmocka_unit_test(joined_and_dropped), cmocka_unit_test(limits),
	};

	return cmocka_run_group_tests_name("filter", tests, NULL, NULL);
}
