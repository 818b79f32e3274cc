/* SPDX-License-Identifier: PostgreSQL
 * pg/authorizer: who is asked about next, how many wait and for how long, and what an answer means.
 * The connection is ours: the test sees each statement and answers it. */
#include "config.h"
#include "unit.h"

#include <libpq-fe.h>

#include "base/mem.h"
#include "pg/auth.h"
#include "pg/authorizer.h"
#include "pg/conn.h"

static bool up;
static unsigned n_connections;
static conn_result_fn *done; /* of the statement that waits for its answer; NULL without */
static void *done_arg;
static char user[16], channels[64];
static unsigned n_tidied;
static const char *sqlstate; /* of the error that an answer is */
static void (*state_changed)(void *arg, bool up);
static struct conn *conn;

bool conn_up(const struct conn *c)
{
	(void)c;
	return up;
}

void conn_worked(struct conn *c)
{
	(void)c;
}

void conn_restart(struct conn *c, const char *conninfo, const char *why)
{
	(void)c;
	(void)conninfo;
	(void)why;
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
	conn = c;
	state_changed = on_state;
	n_connections++;
}

static void answer(const PGresult *r)
{
	conn_result_fn *f = done;

	done = NULL;
	f(done_arg, r);
}

void conn_stop(struct conn *c)
{
	(void)c;
	up = false;
	n_connections--;
	if (done)
		answer(NULL);
}

void conn_query(struct conn *c, const char *sql, size_t n, const char *const *params,
		conn_result_fn *f, void *arg)
{
	(void)c;
	if (n != 3) {
		n_tidied++;
		return;
	}
	assert_non_null(strstr(sql, "FROM pgherald."));
	assert_null(done); /* one at a time */
	done = f;
	done_arg = arg;
	snprintf(user, sizeof(user), "%s", params[0]);
	snprintf(channels, sizeof(channels), "%s", params[2]);
}

void conn_limit(struct conn *c, uint64_t ms)
{
	(void)c;
	assert_int_equal(ms, 2000);
}

bool conn_error_is(const PGresult *r, const char *states)
{
	(void)r;
	return sqlstate && !strncmp(sqlstate, states, strlen(states));
}

const char *conn_error(const PGresult *r)
{
	(void)r;
	return "an error";
}

void auth_put_element(struct buf *b, const char *s)
{
	buf_printf(b, b->len ? ",\"%s\"" : "\"%s\"", s);
}

/* No row is yes. */
static void answer_no(const char *place, bool known)
{
	char name[] = "c", n[8], t[2] = {known ? 't' : 'f', '\0'};
	PGresult *r = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
	PGresAttDesc desc[3];

	memset(desc, 0, sizeof(desc));
	for (int i = 0; i < 3; i++)
		desc[i].name = name;
	assert_true(PQsetResultAttrs(r, 3, desc));
	snprintf(n, sizeof(n), "%s", place ? place : "");
	if (place) {
		assert_true(PQsetvalue(r, 0, 0, n, (int)strlen(n)));
		assert_true(PQsetvalue(r, 0, 1, t, 1));
		assert_true(PQsetvalue(r, 0, 2, NULL, -1));
	}
	answer(r);
	PQclear(r);
}

static void answer_error(const char *code)
{
	PGresult *r = PQmakeEmptyPGresult(NULL, PGRES_FATAL_ERROR);

	sqlstate = code;
	answer(r);
	sqlstate = NULL;
	PQclear(r);
}

static struct authorizer authorizer;
static struct vitals vitals;
static struct loop *loop;
static struct inbox inbox;
static struct conf *conf;
static size_t n_home;
static struct {
	char user[8];
	enum lookup_verdict verdict;
	size_t refused;
} home[5000];

static void on_letters(void *arg, struct list *letters)
{
	(void)arg;
	LIST_EACH (letters, node, tmp) {
		struct post_lookup *l = LIST_ENTRY(node, struct post_lookup, letter.node);

		list_remove(node);
		assert_int_equal(l->letter.kind, POST_LOOKUP);
		snprintf(home[n_home].user, sizeof(home[0].user), "%s", l->who->user_id);
		home[n_home].verdict = l->verdict;
		home[n_home++].refused = l->refused;
		post_lookup_free(l);
	}
}

static void ask(const char *route, const char *user_id, char *a, char *b, uint64_t for_ms)
{
	struct post_lookup *l = xcalloc(1, sizeof(*l));
	char *list[] = {a, b};
	const struct keys k = {list, a && b ? 2 : 1};

	l->letter.kind = POST_AUTHORIZE;
	l->reply_to = &inbox;
	l->route = xstrdup(route);
	l->until_ms = loop_now_ms(loop) + for_ms;
	l->who = xcalloc(1, sizeof(*l->who));
	l->who->user_id = xstrdup(user_id);
	l->who->role = xstrdup("r");
	l->who->channels = a ? keys_copy(&k) : NULL;
	authorizer_ask(&authorizer, l);
}

static struct conf *conf_of(const char *routes)
{
	autofree char *text = xasprintf("[role r]\nreceives = own\n[auth a]\n%s", routes);
	struct buf error;
	struct conf *c;

	buf_init(&error, 1000);
	c = conf_parse("test", text, strlen(text), &error);
	if (!c)
		fail_msg("%s", buf_cstr(&error));
	buf_free(&error);
	return c;
}

static int start(void **s)
{
	(void)s;
	conf = conf_of("[route one]\npath = /1\nauthorize = a.b\n[route two]\npath = /2\nauthorize "
		       "= a.b\n");
	loop = loop_new();
	assert_true(inbox_init(&inbox, loop, on_letters, NULL));
	n_home = 0;
	n_tidied = n_connections = 0;
	up = false;
	done = NULL;
	memset(&vitals, 0, sizeof(vitals));
	authorizer_init(&authorizer, loop, conf, &vitals);
	return 0;
}

static void drop(struct letter *l)
{
	post_lookup_free((struct post_lookup *)l);
}

static int stop(void **s)
{
	(void)s;
	authorizer_stop(&authorizer);
	assert_int_equal(n_connections, 0);
	loop_turn(loop, 0);
	inbox_close(&inbox, drop);
	loop_free(loop);
	assert_int_equal(conf->refs, 1);
	conf_unref(conf);
	return 0;
}

static void go_up(void)
{
	up = true;
	state_changed(conn->arg, true);
}

static char chat_1[] = "#chat:1", chat_2[] = "#chat:2";

TEST(answers)
{
	ask("one", "7", NULL, NULL, 1000);
	ask("one", "8", chat_1, chat_2, 1000);
	ask("one", "9", chat_1, NULL, 1000);
	ask("one", "10", chat_1, NULL, 1000);
	assert_null(done);
	go_up();
	assert_string_equal(user, "7");
	assert_string_equal(channels, "{NULL}");
	answer_no(NULL, true);
	assert_string_equal(channels, "{\"chat:1\",\"chat:2\"}");
	answer_no("2", true);
	answer_no("1", false);
	answer_error("42P01");
	assert_int_equal(n_tidied, 2); /* what a function leaves that is ended */
	loop_turn(loop, 0);
	assert_int_equal(n_home, 4);
	assert_int_equal(home[0].verdict, LOOKUP_OK);
	assert_int_equal(home[1].verdict, LOOKUP_FORBIDDEN);
	assert_int_equal(home[1].refused, 1);
	assert_int_equal(home[2].verdict, LOOKUP_NOTHING);
	assert_int_equal(home[2].refused, 0);
	assert_int_equal(home[3].verdict, LOOKUP_UNAVAILABLE);
	for (int i = 0; i < N_ASKED; i++)
		assert_int_equal(vitals.asked[i], 1);
}

TEST(who_takes_long_waits_behind_others)
{
	for (int i = 0; i < 3; i++)
		ask("one", "7", NULL, NULL, 1000);
	ask("one", "8", NULL, NULL, 1000);
	go_up();
	assert_string_equal(user, "7");
	answer_error("57014");
	assert_string_equal(user, "8");
	answer_no(NULL, true);
	assert_string_equal(user, "7");
}

/* A function that lets no cancel pass takes its session along: the next one goes on. */
TEST(one_that_hangs)
{
	ask("one", "7", NULL, NULL, 1000);
	ask("one", "7", NULL, NULL, 1000);
	ask("one", "8", NULL, NULL, 1000);
	go_up();
	conn->stuck_pid = 4711;
	up = false;
	answer(NULL);
	loop_turn(loop, 0);
	assert_int_equal(n_home, 1);
	assert_int_equal(home[0].verdict, LOOKUP_UNAVAILABLE);
	assert_null(done);
	go_up();
	assert_string_equal(user, "8");
}

TEST(so_many_wait_and_so_long)
{
	for (int i = 0; i < 4096; i++)
		ask("one", "7", NULL, NULL, i < 4000 ? 60000 : 0);
	ask("one", "8", NULL, NULL, 1000);
	loop_turn(loop, 0);
	assert_int_equal(n_home, 1);
	assert_string_equal(home[0].user, "8");
	assert_int_equal(home[0].verdict, LOOKUP_UNAVAILABLE);
	while (n_home == 1) /* until the next sweep */
		loop_turn(loop, 1000);
	assert_int_equal(n_home, 97);
	ask("two", "9", NULL, NULL, 1000); /* another route has a line of its own */
	assert_int_equal(n_connections, 2);
	go_up();
	assert_string_equal(user, "9");
	answer_no(NULL, true);
	loop_turn(loop, 0);
	assert_int_equal(home[97].verdict, LOOKUP_OK);
}

TEST(a_route_that_asks_no_more)
{
	struct conf *less =
		conf_of("[route one]\npath = /1\nauthorize = a.b\n[route two]\npath = /2\n");

	ask("one", "7", NULL, NULL, 1000);
	ask("two", "8", NULL, NULL, 1000);
	assert_int_equal(n_connections, 2);
	authorizer_reload(&authorizer, less, true);
	assert_int_equal(n_connections, 1);
	loop_turn(loop, 0);
	assert_int_equal(n_home, 1);
	assert_string_equal(home[0].user, "8");
	authorizer_reload(&authorizer, conf, false);
	assert_int_equal(less->refs, 1);
	conf_unref(less);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(answers, start, stop),
		cmocka_unit_test_setup_teardown(who_takes_long_waits_behind_others, start, stop),
		cmocka_unit_test_setup_teardown(one_that_hangs, start, stop),
		cmocka_unit_test_setup_teardown(so_many_wait_and_so_long, start, stop),
		cmocka_unit_test_setup_teardown(a_route_that_asks_no_more, start, stop),
	};

	return cmocka_run_group_tests_name("authorizer", tests, NULL, NULL);
}
