/* SPDX-License-Identifier: PostgreSQL
 * pg/replay: whose turn it is. The connection is ours: the test sees each statement and answers it.
 */
#include "config.h"
#include "unit.h"

#include <libpq-fe.h>

#include "base/mem.h"
#include "pg/missed.h"
#include "pg/replay.h"

static bool up;
static conn_result_fn *done; /* of the statement that waits for its answer; NULL without */
static void *done_arg;
static char user[16]; /* whose statement it is; "" of one that asks for everything */
static void (*state_changed)(void *arg, bool up);

bool conn_up(const struct conn *c)
{
	(void)c;
	return up;
}

void conn_worked(struct conn *c)
{
	(void)c;
}

void conn_start(struct conn *c, struct loop *loop, const char *name, const char *conninfo,
		void (*on_state)(void *arg, bool up),
		void (*on_notify)(void *arg, const char *channel, const char *payload), void *arg)
{
	(void)loop;
	(void)name;
	(void)conninfo;
	(void)on_notify;
	*c = (struct conn){.arg = arg};
	state_changed = on_state;
}

void conn_stop(struct conn *c)
{
	(void)c;
	up = false;
	if (done) {
		conn_result_fn *f = done;

		done = NULL;
		f(done_arg, NULL);
	}
}

void conn_query_prepared(struct conn *c, const char *name, const char *sql, size_t n,
			 const char *const *params, conn_result_fn *f, void *arg)
{
	(void)c;
	(void)name;
	(void)sql;
	assert_null(done); /* one at a time */
	done = f;
	done_arg = arg;
	snprintf(user, sizeof(user), "%s", n == 11 ? params[6] : "");
}

void conn_limit(struct conn *c, uint64_t ms)
{
	(void)c;
	(void)ms;
}

bool conn_error_is(const PGresult *r, const char *states)
{
	(void)r;
	(void)states;
	return false;
}

const char *conn_error(const PGresult *r)
{
	(void)r;
	return "an error";
}

/* A slice in which nothing was found. */
static void answer(bool more, const char *last)
{
	static const char *const columns[13] = {"epoch001", "0", "0", "1:500:", "5", [7] = "",
						"",	    "",	 "",  "",	""};
	PGresAttDesc desc[13];
	static char name[] = "c";
	PGresult *r = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
	conn_result_fn *f = done;

	memset(desc, 0, sizeof(desc));
	for (int i = 0; i < 13; i++)
		desc[i].name = name;
	assert_true(PQsetResultAttrs(r, 13, desc));
	for (int i = 0; i < 13; i++) {
		const char *text = i == 5 ? more ? "t" : "f" : i == 6 ? last : columns[i];

		assert_true(PQsetvalue(r, 0, i, (char *)(uintptr_t)text, (int)strlen(text)));
	}
	done = NULL;
	f(done_arg, r);
	PQclear(r);
}

static struct replayer replayer;
static struct loop *loop;
static struct inbox inbox;
static size_t n_home;
static enum replay_verdict home[200];
static char home_user[200][8];

static void on_letters(void *arg, struct list *letters)
{
	(void)arg;
	LIST_EACH (letters, node, tmp) {
		struct post_replay *p = LIST_ENTRY(node, struct post_replay, letter.node);

		list_remove(node);
		snprintf(home_user[n_home], sizeof(home_user[0]), "%s", p->user_id);
		home[n_home++] = p->verdict;
		post_replay_free(p);
	}
}

static void ask(const char *user_id, bool own)
{
	struct post_replay *p = xcalloc(1, sizeof(*p));

	p->letter.kind = POST_REPLAY;
	p->reply_to = &inbox;
	p->user_id = xstrdup(user_id);
	p->own = own;
	p->from = (struct cursor){.epoch = "epoch001", .xmax = 10};
	replay_ask(&replayer, p);
}

static struct conf *conf;

static int start(void **state)
{
	static const char text[] = "[role r]\nreceives = own\n[auth a]\n";
	struct buf error;

	(void)state;
	buf_init(&error, 1000);
	conf = conf_parse("test", text, sizeof(text) - 1, &error);
	if (!conf)
		fail_msg("%s", buf_cstr(&error));
	buf_free(&error);
	loop = loop_new();
	assert_true(inbox_init(&inbox, loop, on_letters, NULL));
	n_home = 0;
	up = false;
	done = NULL;
	replay_start(&replayer, loop, conf);
	return 0;
}

static void drop(struct letter *l)
{
	post_replay_free((struct post_replay *)l);
}

static int stop(void **state)
{
	(void)state;
	inbox_close(&inbox, drop);
	loop_free(loop);
	assert_int_equal(conf->refs, 1);
	conf_unref(conf);
	return 0;
}

/* Forty of one user, each of them long, and one of another: he has every second turn. */
TEST(users_in_turn)
{
	for (int i = 0; i < 40; i++)
		ask("7", true);
	ask("8", true);
	ask("1", false);
	up = true;
	state_changed(&replayer, true);
	for (int i = 0; i < 4; i++) {
		assert_string_equal(user, "7");
		answer(true, i == 0 ? "100" : i == 1 ? "200" : i == 2 ? "300" : "400");
		assert_string_equal(user, "8");
		answer(i < 3, "400");
		if (i == 0) {
			assert_string_equal(user, "");
			answer(false, "400");
		}
	}
	/* Only the first of the forty has begun. */
	loop_turn(loop, 0);
	assert_int_equal(n_home, 2);
	assert_string_equal(home_user[0], "1");
	assert_string_equal(home_user[1], "8");
	assert_int_equal(home[0], REPLAY_DONE);
	assert_int_equal(home[1], REPLAY_DONE);
	for (int i = 0; i < 40; i++) {
		assert_string_equal(user, "7");
		answer(false, "450");
	}
	loop_turn(loop, 0);
	assert_int_equal(n_home, 42);
	assert_null(done);
	replay_stop(&replayer);
}

TEST(the_database_goes_away)
{
	ask("7", true);
	ask("7", true);
	ask("8", true);
	up = true;
	state_changed(&replayer, true);
	answer(true, "100");
	assert_string_equal(user, "8");
	up = false;
	done(done_arg, NULL); /* while 8's was under way: it is told so */
	done = NULL;
	loop_turn(loop, 0);
	assert_int_equal(n_home, 1);
	assert_string_equal(home_user[0], "8");
	assert_int_equal(home[0], REPLAY_UNAVAILABLE);
	up = true;
	state_changed(&replayer, true); /* the others go on */
	assert_string_equal(user, "7");
	answer(false, "450");
	assert_string_equal(user, "7");
	replay_stop(&replayer); /* with one under way */
	loop_turn(loop, 0);
	assert_int_equal(n_home, 3);
	assert_int_equal(home[1], REPLAY_DONE);
	assert_int_equal(home[2], REPLAY_UNAVAILABLE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(users_in_turn, start, stop),
		cmocka_unit_test_setup_teardown(the_database_goes_away, start, stop),
	};

	return cmocka_run_group_tests_name("replay", tests, NULL, NULL);
}
