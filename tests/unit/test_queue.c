/* SPDX-License-Identifier: PostgreSQL
 * hub/queue: order, both bounds, and no memory while empty. */
#include "config.h"
#include "unit.h"

#include "hub/queue.h"

static struct frame *sized(size_t len, char fill)
{
	char *body = malloc(len);
	struct frame *f;

	assert_non_null(body);
	memset(body, fill, len);
	f = frame_new(body, len);
	free(body);
	return f;
}

TEST(bounded_in_frames)
{
	struct frame *f = sized(10, 'x');
	struct queue q;

	queue_init(&q, 3, 1000);
	for (int i = 0; i < 3; i++)
		assert_true(queue_push(&q, f));
	assert_false(queue_push(&q, f));
	assert_int_equal(f->refs, 4); /* the refused one took none */
	queue_pop(&q);
	assert_int_equal(f->refs, 3);
	assert_true(queue_push(&q, f));
	queue_force(&q, f); /* the daemon's own words */
	assert_int_equal(q.n, 4);
	queue_free(&q);
	assert_int_equal(f->refs, 1);
	assert_null(q.items);
	frame_unref(f);
}

TEST(bounded_in_bytes)
{
	struct frame *f = sized(40, 'x'), *exact = sized(20, 'y'), *huge = sized(5000, 'z');
	struct queue q;

	queue_init(&q, 1000, 100);
	assert_true(queue_push(&q, f));
	assert_true(queue_push(&q, f));
	assert_false(queue_push(&q, f));
	assert_true(queue_push(&q, exact));
	assert_int_equal(q.bytes, 100);
	queue_free(&q);
	assert_int_equal(q.bytes, 0);
	assert_true(queue_push(&q, huge)); /* one always fits an empty queue */
	assert_false(queue_push(&q, exact));
	queue_pop(&q);
	assert_true(queue_push(&q, exact));
	assert_false(queue_push(&q, huge));
	queue_free(&q);
	frame_unref(f);
	frame_unref(exact);
	frame_unref(huge);
}

TEST(order_under_random_use)
{
	struct rng r = rng_new();
	struct frame *frames[64];
	struct queue q;
	unsigned pushed = 0, popped = 0;

	for (size_t i = 0; i < 64; i++)
		frames[i] = sized(i + 1, 'x');
	queue_init(&q, 50, 1 << 20);
	assert_null(q.items);
	for (int i = 0; i < 200000; i++) {
		if (rng_below(&r, 2)) {
			bool ok = queue_push(&q, frames[pushed % 64]);

			assert_int_equal(ok, pushed - popped < 50);
			pushed += ok;
		} else if (q.n) {
			assert_ptr_equal(queue_at(&q, 0), frames[popped++ % 64]);
			queue_pop(&q);
		}
		assert_int_equal(q.n, pushed - popped);
		if (!q.n) /* no memory while empty */
			assert_null(q.items);
		if (q.n)
			assert_ptr_equal(queue_at(&q, q.n - 1), frames[(pushed - 1) % 64]);
	}
	queue_free(&q);
	for (size_t i = 0; i < 64; i++) {
		assert_int_equal(frames[i]->refs, 1);
		frame_unref(frames[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bounded_in_frames),
		cmocka_unit_test(bounded_in_bytes),
		cmocka_unit_test(order_under_random_use),
	};

	return cmocka_run_group_tests_name("queue", tests, NULL, NULL);
}
