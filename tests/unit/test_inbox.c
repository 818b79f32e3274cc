/* SPDX-License-Identifier: PostgreSQL
 * base/inbox: letters of two threads all arrive, each thread's in the order of posting. */
#include "config.h"
#include "unit.h"

#include <pthread.h>

#include "base/inbox.h"

#define N_LETTERS 20000

struct numbered {
	struct letter letter;
	unsigned number;
};

struct reader {
	struct loop *loop;
	struct inbox inbox;
	unsigned next[2], n_read, n_opened;
};

static void read_letters(void *arg, struct list *letters)
{
	struct reader *r = arg;

	r->n_opened++;
	assert_false(list_empty(letters));
	LIST_EACH (letters, node, tmp) {
		struct numbered *n = (struct numbered *)LIST_ENTRY(node, struct letter, node);

		list_remove(node);
		assert_int_equal(n->number, r->next[n->letter.kind]);
		r->next[n->letter.kind]++;
		r->n_read++;
		free(n);
	}
}

struct poster {
	struct inbox *inbox;
	int kind;
};

static void post(struct inbox *in, int kind, unsigned number)
{
	struct numbered *n = xcalloc(1, sizeof(*n));

	n->letter.kind = kind;
	n->number = number;
	inbox_post(in, &n->letter);
}

static void *post_many(void *arg)
{
	struct poster *p = arg;

	for (unsigned i = 0; i < N_LETTERS; i++)
		post(p->inbox, p->kind, i);
	return NULL;
}

static unsigned n_dropped;

static void drop(struct letter *l)
{
	n_dropped++;
	free(l);
}

TEST(two_threads_post)
{
	struct reader r = {.loop = loop_new()};
	struct poster p[2] = {{&r.inbox, 0}, {&r.inbox, 1}};
	pthread_t threads[2];

	assert_true(inbox_init(&r.inbox, r.loop, read_letters, &r));
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, post_many, &p[i]), 0);
	while (r.n_read < 2 * N_LETTERS)
		loop_turn(r.loop, -1);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(r.next[0], N_LETTERS);
	assert_int_equal(r.next[1], N_LETTERS);
	inbox_close(&r.inbox, drop);
	assert_int_equal(n_dropped, 0);
	loop_free(r.loop);
}

TEST(waiting_letters_come_in_one_piece)
{
	struct reader r = {.loop = loop_new()};

	assert_true(inbox_init(&r.inbox, r.loop, read_letters, &r));
	for (unsigned i = 0; i < 5; i++)
		post(&r.inbox, 1, i);
	loop_turn(r.loop, -1);
	assert_int_equal(r.n_read, 5);
	assert_int_equal(r.n_opened, 1);
	loop_turn(r.loop, 0);
	assert_int_equal(r.n_opened, 1);
	inbox_close(&r.inbox, drop);
	loop_free(r.loop);
}

static void post_back(void *arg, struct list *letters)
{
	struct reader *r = arg;

	read_letters(arg, letters);
	if (r->n_read < 10)
		post(&r->inbox, 0, r->n_read);
}

TEST(opening_may_post_to_itself)
{
	struct reader r = {.loop = loop_new()};

	assert_true(inbox_init(&r.inbox, r.loop, post_back, &r));
	post(&r.inbox, 0, 0);
	while (r.n_read < 10)
		loop_turn(r.loop, -1);
	assert_int_equal(r.n_opened, 10);
	inbox_close(&r.inbox, drop);
	loop_free(r.loop);
}

TEST(closing_drops_what_is_inside)
{
	struct reader r = {.loop = loop_new()};

	n_dropped = 0;
	assert_true(inbox_init(&r.inbox, r.loop, read_letters, &r));
	for (unsigned i = 0; i < 3; i++)
		post(&r.inbox, 0, i);
	inbox_close(&r.inbox, drop);
	assert_int_equal(n_dropped, 3);
	assert_int_equal(r.n_opened, 0);
	loop_free(r.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_threads_post),
		cmocka_unit_test(waiting_letters_come_in_one_piece),
		cmocka_unit_test(opening_may_post_to_itself),
		cmocka_unit_test(closing_drops_what_is_inside),
	};

	return cmocka_run_group_tests_name("inbox", tests, NULL, NULL);
}
