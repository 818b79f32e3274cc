/* SPDX-License-Identifier: PostgreSQL
 * wire/cursor: what two positions hold together, and whether one covers the other, against the
 * plain sets that they stand for. */
#include "config.h"
#include "unit.h"

#include "wire/cursor.h"

#define N_TXID 40 /* 1 … N_TXID, each with rows 1 … N_ROWS */
#define N_ROWS 3

/* A random position around the middle, with few exceptions, half of them with a started one. */
static struct cursor random_cursor(struct rng *r)
{
	struct cursor c = {.epoch = "aaaaaaaa", .xmax = 15 + rng_below(r, 10)};

	for (uint64_t t = c.xmax - 8; t < c.xmax; t++)
		if (!rng_below(r, 4))
			c.out[c.n_out++] = t;
	for (uint64_t t = c.xmax; t < c.xmax + 8; t++)
		if (!rng_below(r, 4))
			c.in[c.n_in++] = t;
	if (rng_below(r, 2)) {
		uint64_t t = c.xmax - 8 + rng_below(r, 16);

		if (!cursor_has(&c, t, N_ROWS)) {
			c.txid = t;
			c.id = 1 + rng_below(r, N_ROWS - 1);
		}
	}
	return c;
}

TEST(union_holds_what_either_holds)
{
	struct rng r = rng_new();

	for (int round = 0; round < 200000; round++) {
		struct cursor a = random_cursor(&r), b = random_cursor(&r), u;
		unsigned missing = 0;

		cursor_union(&u, &a, &b);
		for (uint64_t t = 1; t <= N_TXID; t++)
			for (uint64_t id = 1; id <= N_ROWS; id++) {
				bool either = cursor_has(&a, t, id) || cursor_has(&b, t, id);

				assert_false(cursor_has(&u, t, id) && !either);
				missing += either && !cursor_has(&u, t, id);
			}
		/* Only one started transaction can be told: the other's rows may be missing. */
		assert_true(!missing || (a.txid && b.txid && a.txid != b.txid));
		assert_true(missing < N_ROWS);
	}
}

TEST(covers_means_nothing_is_missing)
{
	struct rng r = rng_new();
	unsigned yes = 0;

	for (int round = 0; round < 200000; round++) {
		struct cursor a = random_cursor(&r), b = random_cursor(&r), u;
		bool all = true;

		if (rng_below(&r, 2)) { /* make a yes more likely */
			cursor_union(&u, &a, &b);
			a = u;
		}
		for (uint64_t t = 1; t <= N_TXID; t++)
			for (uint64_t id = 1; id <= N_ROWS; id++)
				all &= !cursor_has(&b, t, id) || cursor_has(&a, t, id);
		if (cursor_covers(&a, &b)) {
			assert_true(all);
			yes++;
		}
		assert_true(cursor_covers(&a, &a));
	}
	assert_true(yes > 10000);
}

TEST(completing_takes_the_rest_of_one_transaction)
{
	struct rng r = rng_new();

	for (int round = 0; round < 200000; round++) {
		struct cursor c = random_cursor(&r), done = c;

		cursor_complete(&done);
		assert_int_equal(done.txid, 0);
		for (uint64_t t = 1; t <= N_TXID; t++)
			for (uint64_t id = 1; id <= N_ROWS; id++)
				assert_int_equal(cursor_has(&done, t, id),
						 (c.txid && t == c.txid) || cursor_has(&c, t, id));
	}
}

TEST(full_lists_lose_nothing_that_was_not_delivered)
{
	struct cursor a = {.epoch = "aaaaaaaa", .xmax = 1000}, b = a, u;

	for (int i = 0; i < CURSOR_LIST_MAX; i++) {
		a.in[a.n_in++] = 1000 + 2 * (uint64_t)i;
		b.in[b.n_in++] = 1001 + 2 * (uint64_t)i;
	}
	cursor_union(&u, &a, &b);
	assert_in_range(u.n_in, 1, CURSOR_LIST_MAX);
	for (uint64_t t = 900; t < 1300; t++)
		assert_false(cursor_has(&u, t, 1) && !cursor_has(&a, t, 1) &&
			     !cursor_has(&b, t, 1));
	a.txid = 5000;
	a.id = 1;
	cursor_complete(&a); /* no room in the list */
	assert_int_equal(a.txid, 5000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(union_holds_what_either_holds),
		cmocka_unit_test(covers_means_nothing_is_missing),
		cmocka_unit_test(completing_takes_the_rest_of_one_transaction),
		cmocka_unit_test(full_lists_lose_nothing_that_was_not_delivered),
	};

	return cmocka_run_group_tests_name("union", tests, NULL, NULL);
}
