/* SPDX-License-Identifier: PostgreSQL
 * pg/journal against a server of the test's own: what it asks, in which order, and what it makes of
 * the answers. */
#include "config.h"
#include "unit.h"

#include "fakepg.h"
#include "pg/journal.h"

struct rig {
	struct loop *loop;
	struct fakepg server;
	struct journal journal;
	struct buf asked; /* statements, by their first word or name */
	struct buf told;  /* numbers of the documents handed on */
	unsigned n_plans, n_states;
	bool ring_with_listen; /* a bell in the same packet as the answer to LISTEN */
	const char *plan[8];   /* rows behind the header of the next plan */
	const char *header;
	const char *empty; /* the header of plans that have nothing new */
};

static void answer(struct fakepg *f, struct fakepg_peer *p, const char *statement)
{
	struct rig *r = f->arg;
	const char *rows[9] = {r->header ? r->header : r->empty};
	size_t n = 1;

	if (!strcmp(statement, "plan")) {
		buf_str(&r->asked, "plan ");
		r->n_plans++;
		for (; n < 9 && r->plan[n - 1]; n++)
			rows[n] = r->plan[n - 1];
		fakepg_rows(p, 10, rows, n);
		memset(r->plan, 0, sizeof(r->plan));
		r->header = NULL;
	} else if (strstr(statement, "floor_txid + 1")) {
		buf_str(&r->asked, "start ");
		fakepg_rows(p, 3, (const char *const[]){"epoch001|0|10"}, 1);
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

	(void)restart, (void)floor, (void)position, (void)position_xmin;
	for (size_t i = 0; i < n; i++) {
		buf_printf(&r->told, "%s ", events[i]->doc);
		event_unref(events[i]);
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
	r->journal.poll_ms = 60000;
	r->journal.ring_events = 100;
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
			fail_msg("\"%s\", not \"%s\"", buf_cstr(b), want);
		loop_turn(r->loop, 100);
	}
}

TEST(the_first_look)
{
	struct rig r;

	setup(&r);
	turn_until(&r, &r.asked, "ready");
	assert_string_equal(buf_cstr(&r.asked), "listen start plan ready ");
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
	r.header = "0|0|9|-|epoch001|-|22:22:|-|21|1";
	r.empty = "0|0|9|-|epoch001|-|22:22:|-|-|-";
	r.plan[0] = "1|21|100|0|e|i|{\"n\":1}|-|-|-";
	buf_clear(&r.asked);
	fakepg_hang_up(&r.server.peers[0]);
	turn_until(&r, &r.asked, "ready plan "); /* the bells are worth one more look */
	for (int i = 0; i < 5; i++)
		loop_turn(r.loop, 10);
	/* (a slow machine's next ones may follow: whoever never rings is looked after by time) */
	assert_memory_equal(buf_cstr(&r.asked), "away listen plan ready plan ", 28);
	assert_string_equal(buf_cstr(&r.told), "{\"n\":1} ");
	teardown(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_look),
		cmocka_unit_test(a_bell_with_the_answer_to_listen),
	};

	return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}
