/* SPDX-License-Identifier: PostgreSQL
 * hub/ring: bounds by number and bytes, order, and when replay needs the journal. */
#include "config.h"
#include "unit.h"

#include "hub/ring.h"

static struct event *numbered(uint64_t txid, size_t padding)
{
	struct event_row row = {.op = 'i', .txid = txid, .id = txid, .topic = "a"};
	char *doc = malloc(padding + 3);
	struct event *e;

	assert_non_null(doc);
	memset(doc, 'x', padding + 2);
	doc[0] = doc[padding + 1] = '"';
	doc[padding + 2] = '\0';
	row.doc = doc;
	e = event_new(&row);
	free(doc);
	return e;
}

static void add(struct ring *r, uint64_t txid, size_t padding)
{
	struct event *e = numbered(txid, padding);

	ring_add(r, e);
	event_unref(e);
}

TEST(holds_the_last_by_number)
{
	struct ring r;

	for (size_t max = 0; max < 1100; max += max < 10 ? 1 : 107) {
		size_t held = max ? max : 1; /* 0 makes no sense: one */

		ring_init(&r, max, 1 << 30);
		for (uint64_t i = 0; i < 3000; i++) {
			add(&r, i + 1, 0);
			assert_true(r.head - r.tail <= held);
			assert_int_equal(r.head, i + 1);
			assert_int_equal(ring_at(&r, i)->txid, i + 1);
			assert_null(ring_at(&r, i + 1));
		}
		assert_int_equal(r.head - r.tail, held);
		for (uint64_t s = r.tail; s < r.head; s++)
			assert_int_equal(ring_at(&r, s)->txid, s + 1);
		assert_null(ring_at(&r, r.tail - 1));
		assert_int_equal(r.evicted_txid, 3000 - held);
		ring_free(&r);
	}
}

TEST(holds_the_last_by_bytes)
{
	struct rng rng = rng_new();
	struct ring r;
	size_t sum = 0;

	ring_init(&r, 1000000, 100000);
	for (uint64_t i = 0; i < 5000; i++) {
		add(&r, i + 1, rng_below(&rng, 3000));
		assert_true(r.bytes <= 100000);
	}
	assert_true(r.head - r.tail > 20);
	for (uint64_t s = r.tail; s < r.head; s++)
		sum += ring_at(&r, s)->bytes;
	assert_int_equal(sum, r.bytes);
	add(&r, 6000, 1 << 20); /* larger than the bound: it stands alone */
	assert_int_equal(r.head - r.tail, 1);
	add(&r, 6001, 0);
	assert_int_equal(r.head - r.tail, 1);
	assert_int_equal(ring_at(&r, r.tail)->txid, 6001);
	assert_true(r.bytes <= 100000);
	ring_free(&r);
}

static bool covers(const struct ring *r, const char *text)
{
	struct cursor c;

	assert_true(cursor_parse(&c, text, strlen(text)));
	return ring_covers(r, &c);
}

TEST(covers_what_was_not_evicted)
{
	struct ring r;

	ring_init(&r, 3, 1 << 30);
	assert_true(covers(&r, "abcd1234.0.1"));
	add(&r, 5, 0);
	add(&r, 3, 0); /* commit order is not txid order */
	add(&r, 4, 0);
	assert_true(covers(&r, "abcd1234.0.1"));
	add(&r, 6, 0);					/* drops 5 */
	assert_false(covers(&r, "abcd1234.0.5"));	/* 5 itself is missing */
	assert_true(covers(&r, "abcd1234.0.6"));	/* 5 was delivered */
	assert_false(covers(&r, "abcd1234.0.6.1"));	/* all but 5 */
	assert_false(covers(&r, "abcd1234.0.6.2"));	/* 4 is not in: 5 may be later rows */
	assert_false(covers(&r, "abcd1234.0.6...5-1")); /* half of 5 */
	assert_true(covers(&r, "abcd1234.0.6...6-1"));
	add(&r, 7, 0); /* drops 3 */
	assert_true(covers(&r, "abcd1234.0.6"));
	ring_free(&r);
}

TEST(reset_forgets_all)
{
	struct ring r;
	struct event *e = numbered(9, 0);

	ring_init(&r, 10, 1 << 30);
	ring_add(&r, e);
	add(&r, 10, 0);
	assert_int_equal(e->refs, 2);
	ring_reset(&r, 20);
	assert_int_equal(e->refs, 1);
	assert_int_equal(r.head, 2); /* sequence numbers go on */
	assert_int_equal(r.tail, 2);
	assert_int_equal(r.bytes, 0);
	assert_null(ring_at(&r, 0));
	assert_null(ring_at(&r, 2));
	assert_false(covers(&r, "abcd1234.0.k")); /* 20 */
	assert_true(covers(&r, "abcd1234.0.l"));
	add(&r, 21, 0);
	assert_int_equal(ring_at(&r, 2)->txid, 21);
	ring_free(&r);
	event_unref(e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(holds_the_last_by_number),
		cmocka_unit_test(holds_the_last_by_bytes),
		cmocka_unit_test(covers_what_was_not_evicted),
		cmocka_unit_test(reset_forgets_all),
	};

	return cmocka_run_group_tests_name("ring", tests, NULL, NULL);
}
