/* SPDX-License-Identifier: PostgreSQL
 * pg/conn against a server of the test's own: what comes in one packet, limits, and pauses that
 * grow while the connection does not serve its purpose. */
#include "config.h"
#include "unit.h"

#include "fakepg.h"
#include "pg/conn.h"

struct rig {
	struct loop *loop;
	struct fakepg server;
	struct conn conn;
	struct buf heard; /* what happened, word by word */
	bool silent;	  /* statements "…?" are not answered */
};

static void note(struct rig *r, const char *fmt, const char *what)
{
	buf_str(&r->heard, r->heard.len ? " " : "");
	buf_printf(&r->heard, fmt, what);
}

static void on_state(void *arg, bool up)
{
	note(arg, "%s", up ? "up" : "down");
}

static void on_notify(void *arg, const char *channel, const char *payload)
{
	(void)channel;
	note(arg, "<%s>", payload);
}

static void on_result(void *arg, const PGresult *res)
{
	struct rig *r = arg;

	if (!res)
		note(r, "%s", "nothing");
	else if (PQresultStatus(res) == PGRES_TUPLES_OK)
		note(r, "%s", PQgetvalue(res, 0, 0));
	else
		note(r, "(%s)", conn_error(res));
}

/* Statements are their own answers; what they begin with says what else comes along. */
static void answer(struct fakepg *f, struct fakepg_peer *p, const char *statement)
{
	struct rig *r = f->arg;

	if (!strncmp(statement, "SET statement_timeout", 21)) {
		note(r, "%s", strrchr(statement, ' ') + 1);
		fakepg_command(p);
	} else if (!strcmp(statement, "DEALLOCATE ALL")) {
		note(r, "%s", "forgets");
		fakepg_command(p);
	} else if (*statement == '!') {
		fakepg_error(p, "42501", statement + 1, NULL);
	} else if (*statement == '?') {
		return;
	} else {
		fakepg_rows(p, 1, (const char *const[]){statement}, 1);
	}
	if (*statement == '-') /* it cannot be committed */
		fakepg_error(p, "23503", statement + 1, NULL);
	if (*statement == '<')
		fakepg_notify(p, "c", "before");
	fakepg_ready(p);
	if (*statement == '>')
		fakepg_notify(p, "c", "after");
	if (strchr(statement, '+')) /* two bells and the next turn's */
		fakepg_notify(p, "c", "and another");
	fakepg_flush(p);
}

static void setup(struct rig *r)
{
	*r = (struct rig){.loop = loop_new()};
	assert_non_null(r->loop);
	buf_init(&r->heard, 10000);
	fakepg_start(&r->server, r->loop, answer, r);
	conn_start(&r->conn, r->loop, "test", r->server.conninfo, on_state, on_notify, r);
}

static void teardown(struct rig *r)
{
	conn_stop(&r->conn);
	fakepg_stop(&r->server);
	buf_free(&r->heard);
	loop_free(r->loop);
}

static void turn_until(struct rig *r, const char *want)
{
	for (int i = 0; strcmp(buf_cstr(&r->heard), want) != 0; i++) {
		if (i == 100)
			fail_msg("\"%s\", not \"%s\"", buf_cstr(&r->heard), want);
		loop_turn(r->loop, 100);
	}
}

TEST(one_query_after_the_other)
{
	struct rig r;

	setup(&r);
	turn_until(&r, "up");
	conn_query(&r.conn, "a", 0, NULL, on_result, &r);
	conn_query(&r.conn, "!b", 0, NULL, on_result, &r);
	conn_query_prepared(&r.conn, "c", "text of c", 0, NULL, on_result, &r);
	conn_query_prepared(&r.conn, "c", "text of c", 0, NULL, on_result, &r);
	turn_until(&r, "up a (ERROR:  b) c c");
	teardown(&r);
}

/* The rows come before the commit: an answer is what the server says at the end. */
TEST(what_fails_at_the_commit_has_failed)
{
	struct rig r;

	setup(&r);
	turn_until(&r, "up");
	conn_query(&r.conn, "-no", 0, NULL, on_result, &r);
	conn_query(&r.conn, "y", 0, NULL, on_result, &r);
	turn_until(&r, "up (ERROR:  no) y");
	teardown(&r);
}

/* Code of a table's owner may have prepared something under that name, and then failed on purpose:
 * PREPARE is not undone with the rest. */
TEST(what_was_prepared_is_forgotten_after_an_error)
{
	struct rig r;

	setup(&r);
	turn_until(&r, "up");
	conn_query_prepared(&r.conn, "c", "text of c", 0, NULL, on_result, &r);
	conn_query_prepared(&r.conn, "c", "text of c", 0, NULL, on_result, &r);
	conn_query(&r.conn, "!a", 0, NULL, on_result, &r); /* cannot have run such code */
	conn_query_prepared(&r.conn, "c", "text of c", 0, NULL, on_result, &r);
	turn_until(&r, "up c c (ERROR:  a) c");
	assert_int_equal(r.server.peers[0].n_prepared, 1);
	conn_query_prepared(&r.conn, "!b", "text of b", 0, NULL, on_result, &r);
	conn_query_prepared(&r.conn, "c", "text of c", 0, NULL, on_result, &r);
	conn_query_prepared(&r.conn, "c", "text of c", 0, NULL, on_result, &r);
	turn_until(&r, "up c c (ERROR:  a) c (ERROR:  b) forgets c c");
	assert_int_equal(r.server.peers[0].n_prepared, 3); /* b, and c again, once */
	teardown(&r);
}

/* A bell that is read together with the end of an answer is heard at once, not with the next
 * answer: nothing else may come for a whole poll interval. */
TEST(notifications_around_an_answer)
{
	struct rig r;

	setup(&r);
	turn_until(&r, "up");
	conn_query(&r.conn, "<", 0, NULL, on_result, &r);
	turn_until(&r, "up <before> <");
	conn_query(&r.conn, ">", 0, NULL, on_result, &r);
	turn_until(&r, "up <before> < > <after>");
	buf_clear(&r.heard);
	conn_query(&r.conn, ">+", 0, NULL, on_result, &r);
	conn_query(&r.conn, "x", 0, NULL, on_result, &r);
	turn_until(&r, ">+ <after> <and another> x");
	teardown(&r);
}

TEST(limits_are_told_when_they_change)
{
	struct rig r;

	setup(&r);
	turn_until(&r, "up");
	conn_limit(&r.conn, 1000);
	conn_query(&r.conn, "a", 0, NULL, on_result, &r);
	conn_query(&r.conn, "b", 0, NULL, on_result, &r);
	conn_limit(&r.conn, 2000);
	conn_query_prepared(&r.conn, "c", "text", 0, NULL, on_result, &r);
	turn_until(&r, "up 1000 a b 2000 c");
	teardown(&r);
}

TEST(what_waits_hears_that_nothing_comes)
{
	struct rig r;

	setup(&r);
	turn_until(&r, "up");
	conn_query(&r.conn, "?", 0, NULL, on_result, &r);
	conn_query(&r.conn, "b", 0, NULL, on_result, &r);
	loop_turn(r.loop, 100);
	fakepg_hang_up(&r.server.peers[0]);
	turn_until(&r, "up nothing nothing down");
	turn_until(&r, "up nothing nothing down up");
	teardown(&r);
}

/* It connects each time and does not serve its purpose: so that must not count as a success. */
TEST(pauses_grow_until_it_has_worked)
{
	struct rig r;
	uint64_t before = 0;

	setup(&r);
	for (int i = 0; i < 12; i++) {
		while (!conn_up(&r.conn)) {
			if (r.conn.state == CONN_WAIT) { /* who has the time to wait */
				assert_in_range(r.conn.timer.at_ms, 0,
						loop_now_ms(r.loop) + r.conn.backoff_ms * 3 / 2 +
							1);
				loop_timer_set(r.loop, &r.conn.timer, 0);
			}
			loop_turn(r.loop, 100);
		}
		conn_fail(&r.conn, "of no use");
		assert_true(r.conn.backoff_ms > before || r.conn.backoff_ms == 30000);
		before = r.conn.backoff_ms;
	}
	assert_int_equal(before, 30000);
	assert_int_equal(r.conn.n_failures, 12);
	loop_timer_set(r.loop, &r.conn.timer, 0);
	while (!conn_up(&r.conn))
		loop_turn(r.loop, 100);
	conn_worked(&r.conn);
	assert_int_equal(r.conn.n_failures, 0);
	conn_fail(&r.conn, "of no use");
	assert_in_range(r.conn.backoff_ms, 1, 200);
	teardown(&r);
}

TEST(a_server_that_is_not_there_is_asked_every_few_seconds)
{
	struct rig r;

	setup(&r);
	turn_until(&r, "up");
	fakepg_hang_up(&r.server.peers[0]);
	turn_until(&r, "up down");
	fakepg_stop(&r.server);
	for (int i = 0; i < 20; i++) {
		loop_timer_set(r.loop, &r.conn.timer, 0);
		do
			loop_turn(r.loop, 100);
		while (r.conn.state != CONN_WAIT);
	}
	assert_int_equal(r.conn.backoff_ms, 5000);
	fakepg_start(&r.server, r.loop, answer, &r);
	conn_restart(&r.conn, r.server.conninfo, "elsewhere");
	turn_until(&r, "up down up");
	teardown(&r);
}

/* libpq closes the socket to the first one and opens another, which has the same number. */
TEST(one_server_after_the_other)
{
	struct rig r;
	char dir[sizeof(r.server.dir)], both[512];

	if (PQlibVersion() < 140000) /* it does not see what a standby says of itself */
		skip();
	setup(&r);
	turn_until(&r, "up");
	memcpy(dir, r.server.dir, sizeof(dir));
	snprintf(both, sizeof(both), "host=%s,%s,%s port=5432 user=u dbname=d gssencmode=disable",
		 dir, dir, dir);
	r.server.standbys = 2;
	conn_restart(&r.conn, both, "elsewhere");
	turn_until(&r, "up down up");
	assert_int_equal(r.server.standbys, 0);
	conn_query(&r.conn, "a", 0, NULL, on_result, &r);
	turn_until(&r, "up down up a");
	teardown(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_query_after_the_other),
		cmocka_unit_test(what_fails_at_the_commit_has_failed),
		cmocka_unit_test(what_was_prepared_is_forgotten_after_an_error),
		cmocka_unit_test(notifications_around_an_answer),
		cmocka_unit_test(limits_are_told_when_they_change),
		cmocka_unit_test(what_waits_hears_that_nothing_comes),
		cmocka_unit_test(pauses_grow_until_it_has_worked),
		cmocka_unit_test(a_server_that_is_not_there_is_asked_every_few_seconds),
		cmocka_unit_test(one_server_after_the_other),
	};

	return cmocka_run_group_tests_name("conn", tests, NULL, NULL);
}
