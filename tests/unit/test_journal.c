/* SPDX-License-Identifier: PostgreSQL
 * pg/journal against a server of the test's own: what it asks, in which order, and what it makes of
 * the answers. */
#include "config.h"
#include "unit.h"

#include "fakepg.h"
#include "pg/journal.h"

/* How the next statement of that name is answered; "look" is also a plan. */
struct step {
	const char *name;    /* look, plan, page or bare */
	const char *absent;  /* a parameter that they must not have, or NULL */
	const char *param;   /* that its parameters must have among them, or NULL */
	const char *state;   /* SQLSTATE of an error, or "hang up"; NULL = rows */
	const char *rows[6]; /* behind each other; of a plan with its header */
	bool alone;	     /* meanwhile nothing could be told aside for too long */
};

struct rig {
	struct loop *loop;
	struct fakepg server;
	struct journal journal;
	struct buf asked; /* statements, by their first word or name */
	struct buf told;  /* numbers of the documents handed on */
	unsigned n_states;
	atomic_size_t *in_flight; /* grows with the events that are handed on, if it is set */
	bool ring_with_listen;	  /* a bell in the same packet as the answer to LISTEN */
	const struct step *step;  /* those to come; the last has no name */
	const char *empty;	  /* plans that nobody has a step for: nothing new */
};

/* Answers by the next step, if it is for this statement. False when it hung up. */
static bool take_step(struct rig *r, struct fakepg_peer *p, const char *statement)
{
	const struct step *step = r->step;
	bool found = !step || !step->param;
	size_t n = 0;

	if (!step || !step->name ||
	    (strcmp(step->name, statement) != 0 &&
	     (strcmp(step->name, "look") != 0 || strcmp(statement, "plan") != 0))) {
		if (strcmp(statement, "plan") != 0 && strcmp(statement, "look") != 0)
			fail_msg("unexpected: %s, after \"%s\"", statement, buf_cstr(&r->asked));
		fakepg_rows(p, FETCH_N_COLUMNS, &r->empty, 1);
		return true;
	}
	r->step++;
	if (step->alone)
		r->journal.aside.alone_ms = 1;
	for (size_t i = 0; i < p->n_params && !found; i++)
		found = p->params[i] && !strcmp(p->params[i], step->param);
	for (size_t i = 0; i < p->n_params && step->absent; i++)
		if (p->params[i] && !strcmp(p->params[i], step->absent))
			fail_msg("%s with %s, after \"%s\"", statement, step->absent,
				 buf_cstr(&r->asked));
	if (!found)
		fail_msg("%s without %s, after \"%s\"", statement, step->param,
			 buf_cstr(&r->asked));
	if (step->state && !strcmp(step->state, "hang up")) {
		fakepg_hang_up(p);
		return false;
	}
	while (n < 6 && step->rows[n])
		n++;
	if (step->state)
		fakepg_error(p, step->state, "as the test has it", step->rows[0]);
	else
		fakepg_rows(p, FETCH_N_COLUMNS, step->rows, n);
	return true;
}

static void answer(struct fakepg *f, struct fakepg_peer *p, const char *statement)
{
	struct rig *r = f->arg;

	if (!strcmp(statement, "look") || !strcmp(statement, "plan") ||
	    !strcmp(statement, "page") || !strcmp(statement, "bare")) {
		buf_printf(&r->asked, "%s%s ", statement, p == f->peers ? "" : "-aside");
		if (!take_step(r, p, statement))
			return;
	} else if (strstr(statement, "floor_txid + 1")) {
		buf_str(&r->asked, "start ");
		fakepg_rows(p, 4, (const char *const[]){"epoch001|0|10|20:20:"}, 1);
	} else if (strstr(statement, "max_prepared_transactions")) {
		fakepg_rows(p, 1, (const char *const[]){"1"}, 1); /* no doorbell */
	} else if (!strncmp(statement, "LISTEN", 6)) {
		buf_str(&r->asked, "listen ");
		fakepg_command(p);
		if (r->ring_with_listen)
			fakepg_notify(p, "pgherald", "{}");
		fakepg_ready(p);
		if (r->ring_with_listen)
			fakepg_notify(p, "pgherald", "{}");
		fakepg_flush(p);
		return;
	} else {
		fakepg_rows(p, 1, (const char *const[]){""}, 1);
	}
	fakepg_ready(p);
	fakepg_flush(p);
}

static void on_events(void *arg, struct event **events, size_t n, bool restart, uint64_t floor,
		      const struct cursor_text *position, uint64_t position_xmin)
{
	struct rig *r = arg;

	if (r->in_flight && n)
		*r->in_flight += 100;
	(void)restart, (void)floor, (void)position, (void)position_xmin;
	for (size_t i = 0; i < n; i++) {
		struct event *e = events[i];

		for (size_t k = 0; e->op == 'a' && k < e->before.n; k++)
			buf_printf(&r->told, "%s%s", k ? "+" : "", e->before.list[k]);
		buf_printf(&r->told, "%s ", e->doc ? e->doc : "");
		event_unref(e);
	}
	free(events);
}

static void on_state(void *arg, bool up)
{
	struct rig *r = arg;

	buf_str(&r->asked, up ? "ready " : "away ");
	r->n_states++;
}

static void setup(struct rig *r)
{
	*r = (struct rig){.loop = loop_new(), .empty = "0|0|9|-|epoch001|-|20:20:|-|-|-"};
	buf_init(&r->asked, 100000);
	buf_init(&r->told, 100000);
	fakepg_start(&r->server, r->loop, answer, r);
	r->journal.topics = strdup("[]");
	r->journal.poll_ms = 60000; /* nothing here waits for it */
	r->journal.ring_events = 100;
	r->journal.ring_bytes = 1 << 20;
	r->journal.keeper.never_rung = true; /* the doorbell has tests of its own */
	r->journal.on_events = on_events;
	r->journal.on_state = on_state;
	r->journal.arg = r;
	journal_start(&r->journal, r->loop, r->server.conninfo);
}

static void teardown(struct rig *r)
{
	journal_stop(&r->journal);
	fakepg_stop(&r->server);
	buf_free(&r->asked);
	buf_free(&r->told);
	loop_free(r->loop);
}

static void turn_until(struct rig *r, const struct buf *b, const char *want)
{
	for (int i = 0; !strstr(buf_cstr(b), want); i++) {
		if (i == 100)
			fail_msg("\"%s\", not \"%s\"; asked: %s", buf_cstr(b), want,
				 buf_cstr(&r->asked));
		loop_turn(r->loop, 100);
	}
}

TEST(the_first_look)
{
	struct rig r;

	setup(&r);
	turn_until(&r, &r.asked, "ready");
	assert_string_equal(buf_cstr(&r.asked), "listen start look ready ");
	teardown(&r);
}

/* A bell that comes together with the answer to LISTEN asks for a look after the first one, and not
 * for a second one beside it: what both found would be told twice. */
TEST(a_bell_with_the_answer_to_listen)
{
	struct rig r;

	setup(&r);
	turn_until(&r, &r.asked, "ready");
	r.ring_with_listen = true;
	r.empty = "0|0|9|-|epoch001|-|22:22:|-|-|-";
	r.step = (const struct step[]){
		{.name = "look",
		 .rows = {"0|0|9|1|epoch001|50|22:22:|-|21|1", "1|21|100|0|e|i|{1}|-|-|-"}},
		{.name = "look", .param = "22", .rows = {"0|0|9|-|epoch001|-|22:22:|-|-|-"}},
		{0}};
	buf_clear(&r.asked);
	fakepg_hang_up(&r.server.peers[0]);
	/* The bells are worth one more look, and not another one beside the first. (A slow
	 * machine's next ones may follow: whoever never rings is looked after by time.) */
	turn_until(&r, &r.asked, "ready look ");
	assert_null(strstr(buf_cstr(&r.asked), "look look ready"));
	assert_non_null(strstr(buf_cstr(&r.asked), "away listen look ready look "));
	assert_string_equal(buf_cstr(&r.told), "{1} ");
	teardown(&r);
}

/* Rings, and waits until that has been told. */
static void ring(struct rig *r, const struct step *steps, const char *want)
{
	r->step = steps;
	buf_clear(&r->asked);
	buf_clear(&r->told);
	fakepg_notify(&r->server.peers[0], "pgherald", "{}");
	fakepg_flush(&r->server.peers[0]);
	turn_until(r, &r->told, want);
	for (int i = 0; i < 100 && r->journal.busy; i++)
		loop_turn(r->loop, 100);
	assert_false(r->journal.busy);
	assert_string_equal(buf_cstr(&r->told), want);
	if (r->step->name)
		fail_msg("never asked for: %s, \"%s\"", r->step->name, buf_cstr(&r->asked));
}

#define EMPTY_AT(xmax) "0|0|9|-|epoch001|-|" #xmax ":" #xmax ":|-|-|-"

/* A value that cannot be sent is looked for by halves, and its transaction alone says so. */
TEST(one_bad_transaction_of_three)
{
	struct rig r;

	setup(&r);
	turn_until(&r, &r.asked, "ready");
	r.empty = EMPTY_AT(30);
	ring(&r,
	     (const struct step[]){
		     {.name = "look", .state = "22021"}, /* its page, as far as one can tell */
		     {.name = "plan",
		      .rows = {"0|0|9|-|epoch001|50 50 50|30:30:|-|21 22 23|1 1 1"}},
		     {.name = "page", .param = "{21,22,23}", .state = "22021"},
		     {.name = "page", .param = "{21}", .rows = {"1|21|1|0|e|i|{1}|-|-|-"}},
		     {.name = "page", .param = "{22,23}", .state = "22021"},
		     {.name = "page", .param = "{22}", .state = "22021"},
		     {.name = "bare",
		      .param = "{22}",
		      .rows = {"1|22|2|0|e|r|{\"reason\":\"loss\"}|-|1|-"}},
		     {.name = "page", .param = "{23}", .rows = {"1|23|3|0|e|i|{3}|-|-|-"}},
		     {0}},
	     "{1} loss {3} ");
	/* What comes then is read as ever, in one statement. */
	ring(&r,
	     (const struct step[]){
		     {.name = "look",
		      .rows = {"0|0|9|1|epoch001|50|31:31:|-|30|1", "1|30|9|0|e|i|{9}|-|-|-"}},
		     {0}},
	     "{9} ");
	assert_int_equal(r.n_states, 1); /* ready, and never away */
	teardown(&r);
}

/* Rights are missing: everything would fail, so nothing is looked for. */
TEST(an_error_of_everything)
{
	struct rig r;

	setup(&r);
	turn_until(&r, &r.asked, "ready");
	r.step = (const struct step[]){{.name = "look", .state = "42501"}, {0}};
	fakepg_notify(&r.server.peers[0], "pgherald", "{}");
	fakepg_flush(&r.server.peers[0]);
	turn_until(&r, &r.asked, "away");
	assert_non_null(strstr(r.journal.conn.complaint,
			       "pgherald sql install --apply gives this role its rights"));
	assert_string_equal(buf_cstr(&r.told), "");
	teardown(&r);
}

#define LATE(txid, before, topics)                                                                 \
	"9223372036854775807|" #txid "|1|" #before "|-|-|-|1|" topics "|99999"

/* A topic that takes long is told aside; others do not wait, and the position says what is missing.
 */
TEST(what_takes_long_is_told_aside)
{
	struct rig r;

	setup(&r);
	turn_until(&r, &r.asked, "ready");
	r.empty = EMPTY_AT(30);
	ring(&r,
	     (const struct step[]){
		     {.name = "look", .state = "57014", .rows = {"slow"}},
		     {.name = "plan",
		      .param = "{\"slow\"}", /* late from now on */
		      .rows = {"0|0|9|-|epoch001|50|30:30:|-|22|1", LATE(21, 0, "{slow}")}},
		     {.name = "page", .param = "{22}", .rows = {"1|22|2|0|quick|i|{2}|-|-|-"}},
		     {.name = "page", .param = "{21}", .rows = {"1|21|1|0|slow|i|{1}|-|-|-"}},
		     {0}},
	     "{2} {1} ");
	assert_non_null(strstr(buf_cstr(&r.asked), "page page-aside"));
	assert_int_equal(r.journal.at.seen.n_xip, 0);
	assert_int_equal(r.journal.at.cursor.xmax, 23);
	/* From the beginning then. */
	ring(&r,
	     (const struct step[]){
		     {.name = "plan",
		      .param = "{\"slow\"}",
		      .rows = {"0|0|9|-|epoch001|-|31:31:|-|-|-", LATE(30, 0, "{slow}")}},
		     {.name = "page", .param = "{30}", .rows = {"1|30|9|0|slow|i|{9}|-|-|-"}},
		     {0}},
	     "{9} ");
	teardown(&r);
}

/* While it is on its way the next plan leaves it out, and who connects then has not had it. */
TEST(what_is_told_aside_is_not_planned_again)
{
	struct rig r;
	struct cursor at;

	setup(&r);
	turn_until(&r, &r.asked, "ready");
	r.empty = EMPTY_AT(31);
	aside_slow(&r.journal.aside, "slow");
	r.step = (const struct step[]){
		{.name = "plan",
		 .rows = {"0|0|9|-|epoch001|-|30:30:|-|-|-", LATE(21, 0, "{slow}")}},
		{.name = "page",
		 .param = "{21}",
		 .state = "hang up"}, /* it has to be asked again */
		{.name = "plan",
		 .absent = "{21}", /* known */
		 .rows = {"0|0|9|1|epoch001|50|31:31:|-|30|1", "1|30|9|0|quick|i|{9}|-|-|-"}},
		{.name = "page", .param = "{21}", .rows = {"1|21|1|0|slow|i|{1}|-|-|-"}},
		{0}};
	fakepg_notify(&r.server.peers[0], "pgherald", "{}");
	fakepg_flush(&r.server.peers[0]);
	turn_until(&r, &r.asked, "page-aside");
	at = r.journal.at.cursor;
	assert_false(cursor_has(&at, 21, 1));
	fakepg_notify(&r.server.peers[0], "pgherald", "{}");
	fakepg_flush(&r.server.peers[0]);
	turn_until(&r, &r.told, "{9} ");
	at = r.journal.at.cursor;
	assert_true(cursor_has(&at, 30, 9));
	assert_false(cursor_has(&at, 21, 1));
	turn_until(&r, &r.told, "{9} {1} ");
	at = r.journal.at.cursor;
	assert_true(cursor_has(&at, 21, 1));
	teardown(&r);
}

/* When there is no connection to tell it aside, it is told with all others, and not forgotten,
 * whenever that is found out. */
TEST(nothing_can_be_told_aside)
{
	struct rig r;
	struct cursor at;

	setup(&r);
	turn_until(&r, &r.asked, "ready");
	r.empty = EMPTY_AT(31);
	r.server.refuse = true;
	aside_slow(&r.journal.aside, "slow");
	r.step = (const struct step[]){
		{.name = "plan",
		 .rows = {"0|0|9|-|epoch001|-|30:30:|-|-|-", LATE(21, 0, "{slow}")}},
		{.name = "plan",
		 .absent = "{21}",
		 .alone = true,
		 .rows = {"0|0|9|1|epoch001|50|31:31:|-|30|1", "1|30|9|0|quick|i|{9}|-|-|-"}},
		{.name = "plan",
		 .param = "{21}", /* again one that has not been told */
		 .rows = {"0|0|9|1|epoch001|50|31:31:|-|21|1", "1|21|1|0|slow|i|{1}|-|-|-"}},
		{0}};
	for (int i = 0; i < 100 && r.step->name; i++) {
		fakepg_notify(&r.server.peers[0], "pgherald", "{}");
		fakepg_flush(&r.server.peers[0]);
		loop_turn(r.loop, 20);
	}
	turn_until(&r, &r.told, "{9} {1} ");
	at = r.journal.at.cursor;
	assert_true(cursor_has(&at, 21, 1));
	assert_true(cursor_has(&at, 30, 1));
	teardown(&r);
}

/* Alone it takes too long or is too large: it says "fetch again". */
TEST(what_is_too_much_even_aside)
{
	struct rig r;

	setup(&r);
	turn_until(&r, &r.asked, "ready");
	r.empty = EMPTY_AT(30);
	ring(&r,
	     (const struct step[]){
		     {.name = "look", .rows = {"0|0|9|-|epoch001|50 50|30:30:|-|21 22|1 1"}},
		     {.name = "plan", /* no page in the look: too much for it */
		      .rows = {"0|0|9|-|epoch001|-|30:30:|-|-|-", LATE(21, 0, "{a}"),
			       LATE(22, 0, "{b}")}},
		     {.name = "page", .param = "{21}", .state = "57014"},
		     {.name = "bare",
		      .param = "loss",
		      .rows = {"1|21|1|0|a|r|{\"reason\":\"loss\"}|-|1|-"}},
		     {.name = "page", .param = "{22}", .rows = {"1|22|2|-|-|-|-|-|-|-"}},
		     {.name = "bare",
		      .param = "size",
		      .rows = {"1|22|2|0|b|r|{\"reason\":\"size\"}|-|1|-"}},
		     {0}},
	     "loss size ");
	teardown(&r);
}

/* A page that ends the connection each time, as when it brings the server down, does not do so for
 * ever. */
TEST(a_page_that_is_lost_again_and_again)
{
	struct rig r;
	static const struct step steps[] = {
#define LOST                                                                                       \
	{.name = "plan", .rows = {"0|0|9|-|epoch001|50 50|30:30:|-|21 22|1 1"}},                   \
		{.name = "page", .state = "hang up"}
		{.name = "look", .state = "hang up"},
		LOST,
		LOST,
		LOST, /* from here on one alone */
		{.name = "plan", .rows = {"0|0|9|-|epoch001|50 50|30:30:|-|21 22|1 1"}},
		{.name = "page", .param = "{21}", .state = "hang up"},
		{.name = "plan", .rows = {"0|0|9|-|epoch001|50 50|30:30:|-|21 22|1 1"}},
		{.name = "page", .param = "{21}", .state = "hang up"},
		{.name = "plan", .rows = {"0|0|9|-|epoch001|50 50|30:30:|-|21 22|1 1"}},
		{.name = "page", .param = "{21}", .state = "hang up"},
		{.name = "plan", .rows = {"0|0|9|-|epoch001|50 50|30:30:|-|21 22|1 1"}},
		{.name = "bare",
		 .param = "{21}",
		 .rows = {"1|21|1|0|e|r|{\"reason\":\"loss\"}|-|1|-"}},
		{.name = "page", .param = "{22}", .rows = {"1|22|2|0|e|i|{2}|-|-|-"}},
		{0},
	};

	setup(&r);
	turn_until(&r, &r.asked, "ready");
	r.empty = EMPTY_AT(30);
	r.step = steps;
	fakepg_notify(&r.server.peers[0], "pgherald", "{}");
	fakepg_flush(&r.server.peers[0]);
	for (int i = 0; i < 1000 && !strstr(buf_cstr(&r.told), "{2}"); i++) {
		if (r.journal.conn.state == CONN_WAIT) /* who has the time to wait */
			loop_timer_set(r.loop, &r.journal.conn.timer, 0);
		loop_turn(r.loop, 100);
	}
	assert_string_equal(buf_cstr(&r.told), "loss {2} ");
	teardown(&r);
}

/* Rights that have changed are told with the plan, before a page that takes its time. */
TEST(revocations_come_first)
{
	struct rig r;

	setup(&r);
	turn_until(&r, &r.asked, "ready");
	r.empty = EMPTY_AT(30);
	ring(&r,
	     (const struct step[]){
		     {.name = "look", .rows = {"0|0|9|-|epoch001|50 50|30:30:|-|21 22|1 1"}},
		     {.name = "plan",
		      .rows = {"0|0|9|2|epoch001|50 50|30:30:|{7,8}|21 22|1 1",
			       "1|21|1|0|e|i|{1}|-|-|-", "2|22|2|0|auth|a|-|-|{7}|-"}},
		     {0}},
	     "7+8 {1} ");
	teardown(&r);
}

/* Who publishes the events is behind: what is not read stays in the database. */
TEST(nothing_is_read_while_too_much_is_on_its_way)
{
	atomic_size_t in_flight = 101;
	struct rig r;

	setup(&r);
	turn_until(&r, &r.asked, "ready");
	r.empty = EMPTY_AT(31);
	r.journal.in_flight = &in_flight;
	r.journal.max_in_flight = 100;
	for (int i = 0; i < 100 && !r.journal.patience.place; i++)
		loop_turn(r.loop, 100); /* one more look may have been under way */
	buf_clear(&r.asked);
	r.step = (const struct step[]){
		{.name = "look", .rows = {"0|0|9|-|epoch001|50 50|30:30:|-|21 22|1 1"}},
		{.name = "plan",
		 .rows = {"0|0|9|1|epoch001|50 50|30:30:|-|21 22|1 1", "1|21|1|0|e|i|{1}|-|-|-"}},
		{.name = "page", .param = "{22}", .rows = {"1|22|2|0|e|i|{2}|-|-|-"}},
		{0}};
	fakepg_notify(&r.server.peers[0], "pgherald", "{}");
	fakepg_flush(&r.server.peers[0]);
	for (int i = 0; i < 10; i++)
		loop_turn(r.loop, 10);
	assert_string_equal(buf_cstr(&r.asked), "");
	r.in_flight = &in_flight; /* the first page brings more */
	in_flight = 100;
	turn_until(&r, &r.told, "{1} ");
	for (int i = 0; i < 10; i++)
		loop_turn(r.loop, 10);
	assert_string_equal(buf_cstr(&r.told), "{1} ");
	in_flight = 0;
	turn_until(&r, &r.told, "{1} {2} ");
	teardown(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_look),
		cmocka_unit_test(a_bell_with_the_answer_to_listen),
		cmocka_unit_test(one_bad_transaction_of_three),
		cmocka_unit_test(an_error_of_everything),
		cmocka_unit_test(what_takes_long_is_told_aside),
		cmocka_unit_test(what_is_told_aside_is_not_planned_again),
		cmocka_unit_test(nothing_can_be_told_aside),
		cmocka_unit_test(what_is_too_much_even_aside),
		cmocka_unit_test(a_page_that_is_lost_again_and_again),
		cmocka_unit_test(revocations_come_first),
		cmocka_unit_test(nothing_is_read_while_too_much_is_on_its_way),
	};

	return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}
