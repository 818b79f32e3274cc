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
	rig_publish(&rig, events, last + 1 - first, last);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(who_reads_slowly_gets_it_all, start, stop),
		cmocka_unit_test_setup_teardown(behind_the_ring, start_small, stop),
		cmocka_unit_test_setup_teardown(one_transaction_of_many_rows, start, stop),
		cmocka_unit_test_setup_teardown(who_does_not_read_is_closed, start_impatient, stop),
	};

	return cmocka_run_group_tests_name("stream_past", tests, NULL, NULL);
}
