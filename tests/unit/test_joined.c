/* SPDX-License-Identifier: PostgreSQL
 * hub/joined: only what somebody else had before, whole, in his framing, and no reference kept. */
#include "config.h"
#include "unit.h"

#include "hub/joined.h"

static struct joined joined;

static void fill(struct queue *q, struct frame **frames, uint32_t n)
{
	queue_init(q, 1000, 1 << 30);
	for (uint32_t i = 0; i < n; i++)
		queue_force(q, frames[i]);
}

static void assert_joined(const char *want)
{
	assert_int_equal(joined.len, strlen(want));
	assert_memory_equal(joined.bytes, want, joined.len);
}

TEST(the_second_one_gets_it)
{
	struct frame *f[] = {frame_new("one", 3), frame_new("second", 6)};
	struct queue a, b;

	fill(&a, f, 2);
	fill(&b, f, 2);
	assert_false(joined_has(&joined, &a, true));
	assert_true(joined_has(&joined, &b, true));
	assert_joined("3\r\none\r\n6\r\nsecond\r\n");
	assert_true(joined_has(&joined, &b, true));
	assert_false(joined_has(&joined, &b, false)); /* HTTP/1.0: other bytes */
	assert_true(joined_has(&joined, &a, false));
	assert_joined("onesecond");
	joined_forget(&joined);
	assert_false(joined_has(&joined, &a, false));
	joined_forget(&joined);
	queue_free(&a);
	queue_free(&b);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(f[i]->refs, 1);
		frame_unref(f[i]);
	}
}

TEST(another_queue_is_another)
{
	struct frame *f[] = {frame_new("1", 1), frame_new("2", 1), frame_new("3", 1)};
	struct queue a, shorter, later, longer;

	fill(&a, f, 2);
	fill(&shorter, f, 1);
	fill(&later, f + 1, 2);
	fill(&longer, f, 3);
	assert_false(joined_has(&joined, &a, true));
	assert_true(joined_has(&joined, &a, true));
	assert_false(joined_has(&joined, &later, true));
	assert_false(joined_has(&joined, &longer, true));
	assert_false(joined_has(&joined, &shorter, true));
	assert_false(joined_has(&joined, &a, true));
	assert_true(joined_has(&joined, &a, true));
	assert_joined("1\r\n1\r\n1\r\n2\r\n");
	joined_forget(&joined);
	queue_free(&a);
	queue_free(&shorter);
	queue_free(&later);
	queue_free(&longer);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(f[i]->refs, 1);
		frame_unref(f[i]);
	}
}

TEST(too_much_is_left_to_the_kernel)
{
	static char body[JOINED_MAX_BYTES - 100];
	struct frame *large[] = {frame_new(body, sizeof(body)), frame_new(body, 200)};
	struct frame *many[JOINED_MAX_FRAMES + 1];
	struct queue a, b;

	fill(&a, large, 2);
	assert_false(joined_has(&joined, &a, true));
	assert_false(joined_has(&joined, &a, true));
	for (int i = 0; i <= JOINED_MAX_FRAMES; i++)
		many[i] = large[1];
	fill(&b, many, JOINED_MAX_FRAMES + 1);
	assert_false(joined_has(&joined, &b, true));
	assert_false(joined_has(&joined, &b, true));
	queue_pop(&b);
	assert_false(joined_has(&joined, &b, true));
	assert_true(joined_has(&joined, &b, true));
	joined_forget(&joined);
	queue_free(&a);
	queue_free(&b);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(large[i]->refs, 1);
		frame_unref(large[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_second_one_gets_it),
		cmocka_unit_test(another_queue_is_another),
		cmocka_unit_test(too_much_is_left_to_the_kernel),
	};

	return cmocka_run_group_tests_name("joined", tests, NULL, NULL);
}
