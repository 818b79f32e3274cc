/* SPDX-License-Identifier: PostgreSQL
 * base/loop: timers in order, moved and cleared, also inside handlers; descriptors that go while
 * their event is already fetched. */
#include "config.h"
#include "unit.h"

#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/loop.h"

#define N_TIMERS 300

struct bench {
	struct loop *loop;
	struct loop_timer timers[N_TIMERS];
	unsigned n_fired, fired[N_TIMERS];
	uint64_t last_ms;
};

struct shot {
	struct bench *bench;
	unsigned which;
};

static struct shot shots[N_TIMERS];

static void note(void *arg)
{
	struct shot *s = arg;
	struct bench *b = s->bench;
	struct loop_timer *t = &b->timers[s->which];

	assert_int_equal(t->place, 0);
	assert_true(t->at_ms <= loop_now_ms(b->loop));
	assert_true(t->at_ms >= b->last_ms);
	b->last_ms = t->at_ms;
	b->fired[s->which]++;
	b->n_fired++;
}

static void bench_init(struct bench *b, void (*fire)(void *))
{
	memset(b, 0, sizeof(*b));
	b->loop = loop_new();
	assert_non_null(b->loop);
	for (unsigned i = 0; i < N_TIMERS; i++) {
		shots[i] = (struct shot){b, i};
		b->timers[i] = (struct loop_timer){.fire = fire, .arg = &shots[i]};
	}
}

TEST(timers_fire_in_order_once)
{
	struct rng r = rng_new();
	struct bench b;
	unsigned set = 0;

	bench_init(&b, note);
	/* Set, move and clear at random; what stands at the end fires, and nothing else. */
	for (int i = 0; i < 2000; i++) {
		struct loop_timer *t = &b.timers[rng_below(&r, N_TIMERS)];

		if (rng_below(&r, 3))
			loop_timer_set(b.loop, t, rng_below(&r, 40));
		else
			loop_timer_clear(b.loop, t);
	}
	for (unsigned i = 0; i < N_TIMERS; i++)
		set += b.timers[i].place != 0;
	assert_true(set > N_TIMERS / 4 && set < N_TIMERS);
	for (unsigned i = 0; i < N_TIMERS; i++)
		b.fired[i] = b.timers[i].place ? 0 : 1; /* every counter ends at one */
	while (b.n_fired < set)
		loop_turn(b.loop, -1);
	loop_turn(b.loop, 0);
	assert_int_equal(b.n_fired, set);
	for (unsigned i = 0; i < N_TIMERS; i++)
		assert_int_equal(b.fired[i], 1);
	loop_free(b.loop);
}

static void clear_the_others(void *arg)
{
	struct shot *s = arg;

	s->bench->n_fired++;
	for (unsigned i = 0; i < N_TIMERS; i++)
		loop_timer_clear(s->bench->loop, &s->bench->timers[i]);
}

TEST(a_handler_may_clear_due_timers)
{
	struct bench b;

	bench_init(&b, clear_the_others);
	for (unsigned i = 0; i < N_TIMERS; i++)
		loop_timer_set(b.loop, &b.timers[i], 0);
	loop_turn(b.loop, -1);
	loop_turn(b.loop, 0);
	assert_int_equal(b.n_fired, 1);
	for (unsigned i = 0; i < N_TIMERS; i++)
		assert_int_equal(b.timers[i].place, 0);
	loop_timer_clear(b.loop, &b.timers[0]); /* not set: harmless */
	loop_free(b.loop);
}

static void note_order(void *arg)
{
	struct shot *s = arg;

	s->bench->fired[s->bench->n_fired++] = s->which;
}

TEST(equal_times_fire_in_the_order_of_setting)
{
	struct bench b;

	bench_init(&b, note_order);
	for (unsigned i = 0; i < N_TIMERS; i++)
		loop_timer_set(b.loop, &b.timers[(i * 7) % N_TIMERS], 0);
	loop_turn(b.loop, 0);
	assert_int_equal(b.n_fired, N_TIMERS);
	for (unsigned i = 0; i < N_TIMERS; i++)
		assert_int_equal(b.fired[i], (i * 7) % N_TIMERS);
	loop_free(b.loop);
}

struct again {
	struct loop *loop;
	struct loop_timer timer;
	struct loop_fd fd;
	unsigned n_fired, fired_at_ready;
};

static void fire_again(void *arg)
{
	struct again *a = arg;

	if (++a->n_fired < 1000)
		loop_timer_set(a->loop, &a->timer, 0);
}

static void ready_once(void *arg, uint32_t events)
{
	struct again *a = arg;
	uint64_t n;

	assert_true(events & EPOLLIN);
	assert_int_equal(read(a->fd.fd, &n, sizeof(n)), sizeof(n));
	a->fired_at_ready = a->n_fired;
}

/* A stream that catches up sets the flush timer to 0 from inside it: others must get a turn. */
TEST(a_timer_that_sets_itself_does_not_starve_the_rest)
{
	struct again a = {.loop = loop_new()};
	uint64_t one = 1;

	a.timer = (struct loop_timer){.fire = fire_again, .arg = &a};
	a.fd = (struct loop_fd){.fd = eventfd(0, EFD_NONBLOCK), .ready = ready_once, .arg = &a};
	assert_true(loop_add(a.loop, &a.fd, EPOLLIN));
	loop_timer_set(a.loop, &a.timer, 0);
	loop_turn(a.loop, 0);
	assert_int_equal(a.n_fired, 1);
	assert_int_equal(write(a.fd.fd, &one, sizeof(one)), sizeof(one));
	loop_turn(a.loop, -1);
	assert_int_equal(a.fired_at_ready, 1);
	assert_int_equal(a.n_fired, 2);
	while (a.n_fired < 1000)
		loop_turn(a.loop, -1);
	close(a.fd.fd);
	loop_free(a.loop);
}

struct pair {
	struct loop *loop;
	struct loop_fd *h;
	struct pair *other;
	unsigned *n_called;
};

/* Frees the other one's handler: with the event already fetched, a use of it is a crash. */
static void remove_the_other(void *arg, uint32_t events)
{
	struct pair *p = arg;

	(void)events;
	++*p->n_called;
	if (!p->other->h)
		return;
	loop_del(p->loop, p->other->h);
	close(p->other->h->fd);
	free(p->other->h);
	p->other->h = NULL;
}

TEST(a_fetched_event_is_dropped_with_its_descriptor)
{
	struct loop *loop = loop_new();
	unsigned n_called = 0;
	struct pair p[2] = {{loop, NULL, &p[1], &n_called}, {loop, NULL, &p[0], &n_called}};

	for (int i = 0; i < 2; i++) {
		p[i].h = calloc(1, sizeof(*p[i].h));
		assert_non_null(p[i].h);
		*p[i].h = (struct loop_fd){eventfd(1, 0), remove_the_other, &p[i]};
		assert_true(loop_add(loop, p[i].h, EPOLLIN));
	}
	loop_turn(loop, -1);
	assert_int_equal(n_called, 1);
	loop_turn(loop, 0); /* the one that is left is still readable */
	assert_int_equal(n_called, 2);
	for (int i = 0; i < 2; i++)
		if (p[i].h) {
			close(p[i].h->fd);
			free(p[i].h);
		}
	loop_free(loop);
}

static void remove_itself(void *arg, uint32_t events)
{
	struct pair *p = arg;

	(void)events;
	++*p->n_called;
	loop_del(p->loop, p->h);
	loop_stop(p->loop);
}

TEST(a_handler_may_remove_itself_and_stop)
{
	struct loop *loop = loop_new();
	unsigned n_called = 0;
	struct loop_fd h = {.fd = eventfd(1, 0), .ready = remove_itself};
	struct pair p = {loop, &h, NULL, &n_called};

	h.arg = &p;
	assert_true(loop_add(loop, &h, EPOLLIN));
	loop_run(loop);
	assert_int_equal(n_called, 1);
	loop_turn(loop, 0);
	assert_int_equal(n_called, 1);
	assert_true(loop_add(loop, &h, 0)); /* watched for nothing: silent */
	loop_turn(loop, 0);
	assert_int_equal(n_called, 1);
	loop_mod(loop, &h, EPOLLIN);
	loop_run(loop);
	assert_int_equal(n_called, 2);
	close(h.fd);
	assert_false(loop_add(loop, &h, EPOLLIN));
	loop_free(loop);
}

TEST(the_clock_is_monotonic_milliseconds)
{
	struct loop *loop = loop_new();
	struct timespec ts;
	uint64_t before, now;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	before = (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
	loop_turn(loop, 0);
	now = loop_now_ms(loop);
	assert_true(now >= before && now < before + 60000);
	loop_free(loop);
	loop_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timers_fire_in_order_once),
		cmocka_unit_test(a_handler_may_clear_due_timers),
		cmocka_unit_test(equal_times_fire_in_the_order_of_setting),
		cmocka_unit_test(a_timer_that_sets_itself_does_not_starve_the_rest),
		cmocka_unit_test(a_fetched_event_is_dropped_with_its_descriptor),
		cmocka_unit_test(a_handler_may_remove_itself_and_stop),
		cmocka_unit_test(the_clock_is_monotonic_milliseconds),
	};

	return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
