/* SPDX-License-Identifier: PostgreSQL
 * base/ledger and web/budget: what one thread takes and another gives back is in the sum, and what
 * frames, queues and pages of the journal take is counted once, and to the end. */
#include "config.h"
#include "unit.h"

#include <pthread.h>

#include "hub/post.h"
#include "hub/queue.h"
#include "web/budget.h"

#define ROUNDS 100000

static struct budget budget;
static struct frame *passed[ROUNDS];

static void *take(void *arg)
{
	(void)arg;
	budget_enter(&budget, 0);
	for (int i = 0; i < ROUNDS; i++)
		passed[i] = frame_new("0123456789", 10);
	return NULL;
}

static void *give_back(void *arg)
{
	(void)arg;
	budget_enter(&budget, 1);
	for (int i = 0; i < ROUNDS; i++)
		frame_unref(passed[i]);
	return NULL;
}

static void run(void *(*fn)(void *arg))
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, fn, NULL), 0);
	pthread_join(thread, NULL);
}

TEST(threads_have_counts_of_their_own)
{
	uint64_t before;

	budget_init(&budget);
	before = budget_used(&budget);
	run(take);
	assert_int_equal(budget_used(&budget) - before,
			 ROUNDS * (sizeof(struct frame) + passed[0]->len));
	run(give_back);
	assert_int_equal(budget_used(&budget), before);
	assert_true(ledger_read(&budget.parts[1].ledger) < 0);
	budget_free(&budget);
}

TEST(what_may_be_taken)
{
	budget_init(&budget);
	assert_true(budget_allows(&budget, UINT64_MAX)); /* no limit */
	budget_limit(&budget, budget_used(&budget) + 1000);
	assert_true(budget_allows(&budget, 1000));
	assert_false(budget_allows(&budget, 1001));
	ledger_add(1001);
	assert_false(budget_allows(&budget, 0));
	ledger_add(-1001);
	assert_true(budget_allows(&budget, 0));
	budget_note_most(&budget, 0, 9);
	assert_int_equal(budget_most_elsewhere(&budget, 1), 0); /* it has not begun */
	run(take);
	assert_int_equal(budget_most_elsewhere(&budget, 1), 9);
	assert_int_equal(budget_most_elsewhere(&budget, 0), 0);
	run(give_back);
	budget_free(&budget);
}

static int64_t taken(void)
{
	return ledger_of_others(); /* this thread's */
}

TEST(a_queue_counts_its_places)
{
	struct frame *f = frame_new("x", 1);
	int64_t before = taken();
	struct queue q;

	queue_init(&q, 100, 1000);
	queue_force(&q, f);
	assert_int_equal(taken(), before); /* none are needed for one */
	for (int i = 0; i < 20; i++)
		queue_force(&q, f);
	assert_int_equal(taken() - before, 32 * sizeof(struct frame *));
	queue_free(&q);
	assert_int_equal(taken(), before);
	frame_unref(f);
}

TEST(a_frame_counts_when_its_event_has_gone)
{
	const struct event_row row = {.op = 'i', .topic = "t", .doc = "{}", .cursor = "a.0.1"};
	struct event *e = event_new(&row);
	int64_t before = taken();
	struct frame *f = event_frame(e, 0, VIEW_WHOLE);
	struct queue one, two;

	assert_int_equal(taken(), before); /* the ring's bound has it */
	assert_int_equal(frame_share(f), 0);
	queue_init(&one, 100, 1000);
	queue_init(&two, 100, 1000);
	queue_force(&one, f);
	queue_force(&two, f);
	event_unref(e);
	assert_int_equal(taken() - before, sizeof(*f) + f->len);
	assert_int_equal(frame_share(f), (sizeof(*f) + f->len) / 2);
	queue_free(&one);
	assert_int_equal(frame_share(f), sizeof(*f) + f->len);
	queue_free(&two);
	assert_int_equal(taken(), before);
}

TEST(a_page_of_the_journal_counts_while_it_waits)
{
	const struct event_row row = {.op = 'i', .topic = "t", .doc = "{}", .cursor = "a.0.1"};
	struct post_replay *p = xcalloc(1, sizeof(*p));
	int64_t before = taken();

	p->n = 2;
	p->events = xcalloc(p->n, sizeof(*p->events));
	for (size_t i = 0; i < p->n; i++)
		p->events[i] = event_new(&row);
	post_replay_count(p, true);
	post_replay_count(p, true); /* once */
	assert_int_equal(taken() - before, 2 * p->events[0]->bytes);
	post_replay_free(p);
	assert_int_equal(taken(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(threads_have_counts_of_their_own),
		cmocka_unit_test(what_may_be_taken),
		cmocka_unit_test(a_queue_counts_its_places),
		cmocka_unit_test(a_frame_counts_when_its_event_has_gone),
		cmocka_unit_test(a_page_of_the_journal_counts_while_it_waits),
	};

	return cmocka_run_group_tests_name("ledger", tests, NULL, NULL);
}
