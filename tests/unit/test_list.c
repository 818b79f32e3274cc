/* SPDX-License-Identifier: PostgreSQL
 * base/list.h: order, removal while walking, splicing. */
#include "config.h"
#include "unit.h"

#include "base/list.h"

struct thing {
	int number;
	struct list node;
};

static int numbers(struct list *head)
{
	int all = 0;

	LIST_EACH (head, node, tmp)
		all = all * 10 + LIST_ENTRY(node, struct thing, node)->number;
	return all;
}

TEST(order_is_that_of_pushing)
{
	struct thing a = {.number = 1}, b = {.number = 2}, c = {.number = 3};
	struct list head;

	list_init(&head);
	assert_true(list_empty(&head));
	assert_int_equal(numbers(&head), 0);
	list_push(&head, &a.node);
	list_push(&head, &b.node);
	list_push(&head, &c.node);
	assert_false(list_empty(&head));
	assert_int_equal(numbers(&head), 123);
	list_remove(&b.node);
	assert_int_equal(numbers(&head), 13);
	list_remove(&b.node); /* once more does no harm */
	assert_int_equal(numbers(&head), 13);
	list_push(&head, &b.node);
	assert_int_equal(numbers(&head), 132);
	assert_ptr_equal(head.prev, &b.node);
}

TEST(the_current_node_may_go)
{
	struct thing t[5];
	struct list head;

	list_init(&head);
	for (int i = 0; i < 5; i++) {
		t[i].number = i + 1;
		list_push(&head, &t[i].node);
	}
	LIST_EACH (&head, node, tmp)
		if (LIST_ENTRY(node, struct thing, node)->number % 2)
			list_remove(node);
	assert_int_equal(numbers(&head), 24);
	LIST_EACH (&head, node, tmp)
		list_remove(node);
	assert_true(list_empty(&head));
}

TEST(splicing_moves_all_to_the_end)
{
	struct thing a = {.number = 1}, b = {.number = 2}, c = {.number = 3};
	struct list one, two;

	list_init(&one);
	list_init(&two);
	list_splice(&one, &two);
	assert_true(list_empty(&one));
	list_push(&one, &a.node);
	list_push(&two, &b.node);
	list_push(&two, &c.node);
	list_splice(&one, &two);
	assert_true(list_empty(&two));
	assert_int_equal(numbers(&one), 123);
	list_splice(&two, &one);
	assert_true(list_empty(&one));
	assert_int_equal(numbers(&two), 123);
	list_remove(&c.node);
	list_remove(&a.node);
	assert_int_equal(numbers(&two), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(order_is_that_of_pushing),
		cmocka_unit_test(the_current_node_may_go),
		cmocka_unit_test(splicing_moves_all_to_the_end),
	};

	return cmocka_run_group_tests_name("list", tests, NULL, NULL);
}
