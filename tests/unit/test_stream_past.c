/* SPDX-License-Identifier: PostgreSQL
 * web/stream_past: who reads too slowly for the hub is fed from the ring, then from the journal,
 * and loses nothing; only who does not read is closed. */
#include "config.h"
#include "unit.h"

#include "rig.h"

#define CONF(ring, stall)                                                                          \
	"[server]\nsend_buffer = 4KiB\nflush = 1ms\nring_events = " ring "\n"                      \
	"[role manager]\nreceives = all\n[role foreman]\nreceives = own\n[auth main]\n"            \
	"[watch estimate]\ntable = public.e\nowners = foreman_id\nfields = id, foreman_id\n"       \
	"[listen news]\nchannel = news\n"                                                          \
	"[route events]\npath = /events/\nkeepalive = 1s\nstall = " stall "\n"

#define N 400 /* events, more than the queue has room for */

static struct rig rig;

static int start_with(const char *conf)
{
	rig_start(&rig, conf);
	rig_token(&rig, "m1", LOOKUP_OK, "1", "manager");
	rig_token(&rig, "f7", LOOKUP_OK, "7", "foreman");
	rig_restart(&rig, 100);
	return 0;
}

static int start(void **state)
{
	(void)state;
	return start_with(CONF("20000", "1h"));
}

static int start_small(void **state)
{
	(void)state;
	return start_with(CONF("50", "1h"));
}

static int start_impatient(void **state)
{
	(void)state;
	return start_with(CONF("20000", "1s"));
}

static int stop(void **state)
{
	(void)state;
	rig_stop(&rig);
	return 0;
}

/* Of 4 KB: some of them are more than both sockets hold. */
static struct event *large_event(uint64_t txid)
{
	static char text[4001];
	struct event_row row = {.op = 'i', .txid = txid, .id = txid, .topic = "estimate"};
	struct cursor_text cursor;
	struct event *e;
	struct buf doc;

	memset(text, 'x', sizeof(text) - 1);
	buf_init(&doc, 5000);
	buf_printf(&doc, "{\"text\":\"%s\",\"n\":%llu}", text, (unsigned long long)txid);
	row.doc = buf_cstr(&doc);
	row.after = "{7}";
	row.cursor = rig_cursor(txid, &cursor);
	e = event_new(&row);
	buf_free(&doc);
	return e;
}

/* In one letter, as one transaction brings them. */
static void publish_large(uint64_t first, uint64_t last)
{
	struct event *events[N];

	for (uint64_t n = first; n <= last; n++)
		events[n - first] = large_event(n);
	rig_publish(&rig, events, (size_t)(last + 1 - first), last);
}

static void wait_number(struct client *c, uint64_t n)
{
	char want[40];

	snprintf(want, sizeof(want), "\"n\":%llu}", (unsigned long long)n);
	client_wait(c, want);
}

static void is_told_all(const struct client *c, uint64_t first, uint64_t last)
{
	struct buf want;

	buf_init(&want, 1 << 20);
	for (uint64_t n = first; n <= last; n++)
		buf_printf(&want, "%s%llu", want.len ? " " : "", (unsigned long long)n);
	client_is_told(c, buf_cstr(&want));
	buf_free(&want);
}

/* Another one has it all first, in letters of so many: so the slow one has fallen behind. */
static void behind(struct client *slow, struct client *good, const char *token, uint64_t at_once)
{
	client_stream(good, rig.ports[0], token, "");
	client_stream_slowly(slow, rig.ports[0], token);
	for (uint64_t n = 101; n < 101 + N; n += at_once) {
		publish_large(n, n + at_once - 1);
		wait_number(good, n + at_once - 1);
	}
	is_told_all(good, 101, 100 + N);
}

TEST(who_reads_slowly_gets_it_all)
{
	static const char *const tokens[] = {"m1", "f7"};

	for (int i = 0; i < 2; i++) {
		struct client slow, good;

		behind(&slow, &good, tokens[i], N);
		wait_number(&slow, 100 + N);
		is_told_all(&slow, 101, 100 + N);
		rig_publish_one(&rig, 101 + N, "7", "7"); /* and is live again */
		wait_number(&slow, 101 + N);
		client_wait(&slow, "\"keepalive\"");
		is_told_all(&slow, 101, 101 + N);
		client_close(&slow);
		client_close(&good);
		rig_restart(&rig, 100);
	}
}

/* The ring has moved on: the journal is asked from where the client is. */
TEST(behind_the_ring)
{
	struct client slow, good;
	struct post_replay *p;
	uint64_t from;

	behind(&slow, &good, "m1", 20);
	client_close(&good);
	for (uint64_t n = 101 + N; n <= 160 + N; n++) /* more than the ring holds */
		rig_publish_one(&rig, n, "7", "7");
	while (!client_has(&slow, "\"gap\"")) /* what no journal has */
		client_read(&slow);
	p = (struct post_replay *)rig_take(&rig, POST_REPLAY);
	from = p->from.xmax;
	assert_true(from > 101 && from < 100 + N);
	is_told_all(&slow, 101, from - 1);
	client_wait(&slow, "\"topics\": [\"news\"]");
	p->verdict = REPLAY_DONE;
	p->n = (size_t)(161 + N - from);
	p->events = xcalloc(p->n, sizeof(struct event *));
	for (size_t i = 0; i < p->n; i++)
		p->events[i] = rig_event(from + i, "7", "7");
	p->from = (struct cursor){.epoch = "epoch001", .xmax = 161 + N};
	inbox_post(p->reply_to, &p->letter);
	rig_publish_one(&rig, 161 + N, "7", "7");
	wait_number(&slow, 161 + N);
	is_told_all(&slow, 101, 161 + N);
	client_close(&slow);
}

/* A client that keeps up is none that reads too slowly, however many events come at once. */
TEST(one_transaction_of_many_rows)
{
	struct event *events[499];
	struct client c[4];

	for (unsigned i = 0; i < 4; i++)
		client_stream(&c[i], rig.ports[i % 2], i < 2 ? "m1" : "f7", "");
	for (uint64_t i = 0; i < 499; i++)
		events[i] = rig_event(101 + i, "7", "7");
	rig_publish(&rig, events, 499, 599);
	for (unsigned i = 0; i < 4; i++) {
		wait_number(&c[i], 599);
		is_told_all(&c[i], 101, 599);
	}
	rig_publish_one(&rig, 600, "7", "7");
	for (unsigned i = 0; i < 4; i++) {
		wait_number(&c[i], 600);
		client_close(&c[i]);
	}
}

TEST(who_does_not_read_is_closed)
{
	struct client slow, good;
	size_t before;

	behind(&slow, &good, "m1", N);
	while (registry_streams(rig.registry) > 1) /* keep-alives come meanwhile */
		client_read(&good);
	before = slow.got.len;
	client_wait_end(&slow);
	assert_true(slow.got.len - before < 2 << 20); /* what was on its way */
	rig_publish_one(&rig, 101 + N, "7", "7");
	wait_number(&good, 101 + N);
	client_close(&slow);
	client_close(&good);
}

/* What is told after an outage has the names of now: for who hears his own the journal looks
 * whether the row is still his. Everybody else, and who has no such row, does without. */
TEST(told_late)
{
	struct client m, f7, f8, back, ahead;
	struct post_replay *p;
	int n = 0;

	rig_token(&rig, "f8", LOOKUP_OK, "8", "foreman");
	rig_token(&rig, "f9", LOOKUP_OK, "9", "foreman");
	client_stream(&m, rig.ports[0], "m1", "");
	client_stream(&f7, rig.ports[0], "f7", "");
	client_stream(&f8, rig.ports[0], "f8", "");
	rig_publish_one(&rig, 101, "7,8", "7,8");
	wait_number(&m, 101);
	wait_number(&f7, 101);
	wait_number(&f8, 101);
	rig_post_database(&rig, false);
	rig_publish_one(&rig, 102, "7,9", "7,9");
	rig_publish_one(&rig, 103, "", "");
	wait_number(&m, 103);
	rig_post_database(&rig, true);
	for (struct client *c = &f7; n < 3; c = n++ ? &ahead : &back) { /* open, or come back */
		if (n == 1)
			client_resume(c, rig.ports[0], "f7", 101);
		else if (n == 2) /* it has 103 from elsewhere, and passes 101 here */
			client_stream(c, rig.ports[0], "f9", "Last-Event-ID: epoch001.0.2t..2\r\n");
		p = (struct post_replay *)rig_take(&rig, POST_REPLAY);
		assert_true(p->own && !strcmp(p->user_id, n == 2 ? "9" : "7"));
		assert_true(p->from.xmax == 102 && p->from.n_in == (n == 2));
		p->verdict = REPLAY_DONE;
		p->n = 1;
		p->events = xcalloc(1, sizeof(struct event *));
		p->events[0] = rig_event(102, "7,9", "7,9");
		p->from = (struct cursor){.epoch = "epoch001", .xmax = 104};
		inbox_post(p->reply_to, &p->letter);
		wait_number(c, 102);
	}
	rig_publish_one(&rig, 104, "7,8,9", "7,8,9");
	wait_number(&f7, 104);
	wait_number(&f8, 104);
	wait_number(&back, 104);
	client_is_told(&m, "101 102 103");
	client_is_told(&f7, "101 102 104");
	client_is_told(&f8, "101 104");
	wait_number(&ahead, 104);
	client_is_told(&back, "102 104");
	client_is_told(&ahead, "102 104");
	client_close(&ahead);
	client_close(&back);
	client_resume(&back, rig.ports[0], "f7", 102); /* had it: the ring will do */
	wait_number(&back, 104);
	client_is_told(&back, "104");
	client_close(&m);
	client_close(&f7);
	client_close(&f8);
	client_close(&back);
}

/* Another role is another question to the journal: it is asked anew, from where the client is. */
TEST(another_role_during_a_replay)
{
	struct post_lookup *l;
	struct post_replay *p;
	struct client c;
	struct event *e;

	rig_hold(&rig, "m1");
	client_get(&c, rig.ports[0], "/events/", "m1", "Last-Event-ID: epoch001.0.1f\r\n"); /* 50 */
	l = (struct post_lookup *)rig_take(&rig, POST_LOOKUP);
	rig_answer(&rig, l, LOOKUP_OK, "7", "manager");
	p = (struct post_replay *)rig_take(&rig, POST_REPLAY);
	assert_true(!p->own && p->from.xmax == 51);
	p->verdict = REPLAY_MORE;
	p->n = 2;
	p->events = xcalloc(2, sizeof(struct event *));
	p->events[0] = rig_event(51, "8", "8");
	p->events[1] = rig_event(52, "7", "7");
	inbox_post(p->reply_to, &p->letter);
	wait_number(&c, 52);
	p = (struct post_replay *)rig_take(&rig, POST_REPLAY);
	e = rig_rights(101, "7"); /* lowered while it is away */
	rig_publish(&rig, &e, 1, 101);
	rig_answer(&rig, (struct post_lookup *)rig_take(&rig, POST_LOOKUP), LOOKUP_OK, "7",
		   "foreman");
	p->verdict = REPLAY_MORE;
	p->n = 1;
	p->events = xcalloc(1, sizeof(struct event *));
	p->events[0] = rig_event(53, "8", "8");
	inbox_post(p->reply_to, &p->letter);
	p = (struct post_replay *)rig_take(&rig, POST_REPLAY);
	assert_true(p->own && p->from.xmax == 53 && !p->plan);
	p->verdict = REPLAY_DONE;
	p->n = 1;
	p->events = xcalloc(1, sizeof(struct event *));
	p->events[0] = rig_event(54, "7", "7");
	p->from = (struct cursor){.epoch = "epoch001", .xmax = 102};
	inbox_post(p->reply_to, &p->letter);
	rig_publish_one(&rig, 102, "7", "7");
	wait_number(&c, 102);
	client_is_told(&c, "51 52 54 102");
	client_close(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(who_reads_slowly_gets_it_all, start, stop),
		cmocka_unit_test_setup_teardown(behind_the_ring, start_small, stop),
		cmocka_unit_test_setup_teardown(told_late, start, stop),
		cmocka_unit_test_setup_teardown(another_role_during_a_replay, start, stop),
		cmocka_unit_test_setup_teardown(one_transaction_of_many_rows, start, stop),
		cmocka_unit_test_setup_teardown(who_does_not_read_is_closed, start_impatient, stop),
	};

	return cmocka_run_group_tests_name("stream_past", tests, NULL, NULL);
}
