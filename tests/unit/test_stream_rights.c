/* SPDX-License-Identifier: PostgreSQL
 * web/stream_rights: from a change of rights on nothing goes out before the verdict is in, whatever
 * the stream is at; what may still be heard follows then. The test answers look-ups in place of the
 * database; that something was not sent shows when the stream has ended. */
#include "config.h"
#include "unit.h"

#include "rig.h"
#include "web/stream.h"

#define CONF(timeout)                                                                              \
	"[server]\nflush = 1ms\nrequest_timeout = " timeout "\n[database]\nrecheck = 1h\n"         \
	"[role manager]\nreceives = all\n[role foreman]\nreceives = own\n[auth main]\n"            \
	"[watch estimate]\ntable = public.e\nowners = foreman_id\nfields = id, foreman_id\n"       \
	"[route events]\npath = /events/\n"

static struct rig rig;

static int start(void **state)
{
	(void)state;
	rig_start(&rig, CONF("1s"));
	rig_token(&rig, "m1", LOOKUP_OK, "1", "manager");
	rig_token(&rig, "f7", LOOKUP_OK, "7", "foreman");
	rig_token(&rig, "f8", LOOKUP_OK, "8", "foreman");
	rig_restart(&rig, 100);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	rig_stop(&rig);
	return 0;
}

static struct post_lookup *take_lookup(void)
{
	return (struct post_lookup *)rig_take(&rig, POST_LOOKUP);
}

/* One letter: a row of foreman 7, a change of `users`' rights, another row of his. */
static void publish_change(uint64_t txid, const char *users)
{
	struct event *events[] = {rig_event(txid, "7", "7"), rig_rights(txid + 1, users),
				  rig_event(txid + 2, "7", "7")};

	rig_publish(&rig, events, 3, txid + 2);
}

/* 101 is heard; 102 to 104 come with the change, 105 behind it. Everybody else has them. */
static void change_rights(struct client *c, struct client *others, const char *users)
{
	client_stream(&others[0], rig.ports[0], "m1", "");
	client_stream(&others[1], rig.ports[1], "f8", "");
	client_stream(c, rig.ports[0], "f7", "");
	rig_publish_one(&rig, 101, "7", "7");
	client_wait(c, "{\"n\":101}");
	rig_hold(&rig, "f7");
	publish_change(102, users);
	rig_publish_one(&rig, 105, "7,8", "7,8");
	client_wait(&others[0], "{\"n\":105}");
	client_wait(&others[1], "{\"n\":105}");
	client_is_told(&others[0], "101 102 104 105");
	client_is_told(&others[1], "105");
}

static void close_all(struct client *c, size_t n)
{
	for (size_t i = 0; i < n; i++)
		client_close(&c[i]);
}

TEST(nothing_that_came_with_a_revocation)
{
	struct client c, others[2];

	change_rights(&c, others, "7");
	rig_answer(&rig, take_lookup(), LOOKUP_UNKNOWN, NULL, NULL);
	client_wait_end(&c);
	client_is_told(&c, "101");
	assert_string_equal(c.got.data + c.got.len - 5, "0\r\n\r\n"); /* between two events */
	client_close(&c);
	close_all(others, 2);
}

TEST(what_may_be_heard_follows_in_order)
{
	struct client c, others[2];

	change_rights(&c, others, "6,7,9");
	rig_answer(&rig, take_lookup(), LOOKUP_OK, "7", "foreman");
	rig_publish_one(&rig, 106, "7", "7");
	client_wait(&c, "{\"n\":106}");
	client_is_told(&c, "101 102 104 105 106");
	client_close(&c);
	close_all(others, 2);
}

TEST(another_role_hears_what_is_its_own)
{
	struct client c, others[2];

	change_rights(&c, others, ""); /* everybody */
	rig_publish_one(&rig, 106, "8", "8");
	client_wait(&others[1], "{\"n\":106}");
	rig_answer(&rig, take_lookup(), LOOKUP_OK, "7", "manager");
	client_wait(&c, "{\"n\":106}");
	rig_publish_one(&rig, 107, "8", "8");
	client_wait(&c, "{\"n\":107}");
	client_is_told(&c, "101 102 104 105 106 107");
	rig_token(&rig, "f7", LOOKUP_OK, "7", "foreman"); /* and back */
	publish_change(108, "7");
	rig_publish_one(&rig, 111, "8", "8");
	rig_publish_one(&rig, 112, "7", "7");
	client_wait(&c, "{\"n\":112}");
	client_is_told(&c, "101 102 104 105 106 107 108 110 112");
	client_close(&c);
	close_all(others, 2);
}

/* Another user's token now: not he. */
TEST(another_user_is_nobody)
{
	struct client c, others[2];

	change_rights(&c, others, "7");
	rig_answer(&rig, take_lookup(), LOOKUP_OK, "8", "foreman");
	client_wait_end(&c);
	client_is_told(&c, "101");
	client_close(&c);
	close_all(others, 2);
}

/* A look-up that was on its way knows nothing of the change. */
TEST(an_older_look_up_is_no_verdict)
{
	struct post_lookup *old;
	struct client c, m;

	client_stream(&m, rig.ports[0], "m1", "");
	client_stream(&c, rig.ports[0], "f7", "");
	rig_hold(&rig, "f7");
	publish_change(101, "7");
	old = take_lookup();
	publish_change(104, "7"); /* the second change; what came before it may go with the first */
	client_wait(&m, "{\"n\":106}");
	rig_answer(&rig, old, LOOKUP_OK, "7", "foreman");
	client_wait(&c, "{\"n\":103}");
	rig_answer(&rig, take_lookup(), LOOKUP_INACTIVE, NULL, NULL);
	client_wait_end(&c);
	client_is_told(&c, "101 103");
	client_close(&c);
	client_close(&m);
}

/* Rights that change all the time, his or everybody's, do not keep a stream from going on. */
TEST(changes_without_end)
{
	struct client c;
	struct buf want;

	buf_init(&want, 10000);
	client_stream(&c, rig.ports[0], "f7", "");
	rig_hold(&rig, "f7");
	publish_change(101, "7");
	for (uint64_t n = 104; n < 404; n += 3) {
		struct post_lookup *l = take_lookup();
		char last[40];

		publish_change(n, n % 2 ? "" : "7");
		rig_answer(&rig, l, LOOKUP_OK, "7", "foreman");
		snprintf(last, sizeof(last), "{\"n\":%llu}", (unsigned long long)n - 1);
		client_wait(&c, last);
		buf_printf(&want, "%s%llu %llu", want.len ? " " : "", (unsigned long long)n - 3,
			   (unsigned long long)n - 1);
	}
	rig_answer(&rig, take_lookup(), LOOKUP_UNKNOWN, NULL, NULL);
	client_wait_end(&c);
	client_is_told(&c, buf_cstr(&want));
	client_close(&c);
	buf_free(&want);
}

/* Nobody can be asked: the stream waits, is asked about again, and ends when it takes too long. */
TEST(no_verdict)
{
	struct client c, others[2];
	struct post_lookup *l;
	int asked = 0;

	change_rights(&c, others, "7");
	l = take_lookup(); /* before those that follow are answered by themselves */
	rig_token(&rig, "f7", LOOKUP_UNAVAILABLE, NULL, NULL);
	rig_answer(&rig, l, LOOKUP_UNAVAILABLE, NULL, NULL);
	client_wait_end(&c);
	client_is_told(&c, "101");
	client_close(&c);
	close_all(others, 2);

	rig_token(&rig, "f7", LOOKUP_OK, "7", "foreman");
	rig_post_conf(&rig, CONF("1h")); /* until it has been asked again, however slow that is */
	client_stream(&c, rig.ports[0], "f7", "");
	rig_hold(&rig, "f7");
	publish_change(106, "7");
	for (; asked < 2; asked++) /* and again when it was in vain */
		rig_answer(&rig, take_lookup(), LOOKUP_UNAVAILABLE, NULL, NULL);
	rig_post_conf(&rig, CONF("1s"));
	client_wait_end(&c);
	client_is_told(&c, "");
	client_close(&c);
}

/* The look-up of the request was of before; the stream begins, and waits. */
TEST(a_stream_that_begins)
{
	static const char *const headers[] = {"", "Last-Event-ID: epoch001.0.2t\r\n"}; /* 100 */
	struct post_lookup *l;
	struct client c, m;
	uint64_t n = 101;

	client_stream(&m, rig.ports[0], "m1", "");
	rig_hold(&rig, "f7");
	for (int i = 0; i < 4; i++, n += 4) {
		bool stays = i >= 2;
		char last[40];

		client_get(&c, rig.ports[0], "/events/", "f7", headers[i % 2]);
		l = take_lookup();
		publish_change(n, "7");
		snprintf(last, sizeof(last), "{\"n\":%llu}", (unsigned long long)n + 2);
		client_wait(&m, last);
		rig_answer(&rig, l, LOOKUP_OK, "7", "foreman");
		client_wait(&c, "established");
		l = take_lookup();
		rig_publish_one(&rig, n + 3, "7", "7");
		snprintf(last, sizeof(last), "{\"n\":%llu}", (unsigned long long)n + 3);
		client_wait(&m, last);
		rig_answer(&rig, l, stays ? LOOKUP_OK : LOOKUP_UNKNOWN, "7", "foreman");
		if (stays)
			client_wait(&c, last);
		else
			client_wait_end(&c);
		client_is_told(&c, !stays   ? ""
				   : i == 2 ? "112"
					    : "101 103 104 105 107 108 109 111 112 113 115 116");
		client_close(&c);
	}
	client_close(&m);
}

/* Answers with rows from `from` to `to`; with `change` the first is one of foreman 7's rights. */
static void reply(struct post_replay *p, enum replay_verdict verdict, uint64_t from, uint64_t to,
		  bool change)
{
	p->verdict = verdict;
	p->n = (size_t)(to + 1 - from);
	p->events = xcalloc(p->n, sizeof(struct event *));
	for (size_t i = 0; i < p->n; i++)
		p->events[i] = change && !i ? rig_rights(from, "7") : rig_event(from + i, "7", "7");
	if (verdict == REPLAY_DONE)
		p->from = (struct cursor){.epoch = "epoch001", .xmax = to + 1};
	inbox_post(p->reply_to, &p->letter);
}

/* The journal is read ahead of what the worker has heard: a page has its own changes of rights. */
TEST(a_page_of_the_journal)
{
	struct client c, m;

	client_stream(&m, rig.ports[0], "m1", "");
	for (int stays = 0; stays < 2; stays++) {
		rig_token(&rig, "f7", LOOKUP_OK, "7", "foreman");
		client_resume(&c, rig.ports[0], "f7", 50);
		rig_hold(&rig, "f7");
		reply((struct post_replay *)rig_take(&rig, POST_REPLAY), REPLAY_MORE, 51, 53, true);
		rig_answer(&rig, take_lookup(), stays ? LOOKUP_OK : LOOKUP_UNKNOWN, "7", "foreman");
		if (!stays) {
			client_wait_end(&c);
			client_is_told(&c, "");
			client_close(&c);
			continue;
		}
		client_wait(&c, "{\"n\":53}");
		reply((struct post_replay *)rig_take(&rig, POST_REPLAY), REPLAY_DONE, 54, 100,
		      true);
		rig_answer(&rig, take_lookup(), LOOKUP_OK, "7", "foreman");
		client_wait(&c, "{\"n\":100}");
		rig_publish_one(&rig, 101, "7", "7");
		client_wait(&c, "{\"n\":101}");
		client_close(&c);
	}
	client_close(&m);
}

/* A change comes while a page is away, and while it is here and waits. */
TEST(a_change_during_a_replay)
{
	struct post_lookup *first;
	struct post_replay *p;
	struct client c, m;

	client_stream(&m, rig.ports[0], "m1", "");
	client_resume(&c, rig.ports[0], "f7", 50);
	p = (struct post_replay *)rig_take(&rig, POST_REPLAY);
	rig_hold(&rig, "f7");
	publish_change(101, "7");
	first = take_lookup(); /* went out before the page came: it says nothing of it */
	client_wait(&m, "{\"n\":103}");
	reply(p, REPLAY_DONE, 98, 103, true);
	rig_answer(&rig, first, LOOKUP_OK, "7", "foreman");
	first = take_lookup();
	publish_change(104, "7");
	client_wait(&m, "{\"n\":106}");
	rig_answer(&rig, first, LOOKUP_OK, "7", "foreman");
	client_wait(&c, "{\"n\":103}");
	rig_answer(&rig, take_lookup(), LOOKUP_UNKNOWN, NULL, NULL);
	client_wait_end(&c);
	client_is_told(&c, "99 100 101 102 103");
	client_close(&c);
	client_close(&m);
}

/* What a page has that comes while a verdict is waited for could be of after the change. */
TEST(a_page_that_comes_to_a_held_stream)
{
	struct post_replay *p;
	struct client c, m;

	client_stream(&m, rig.ports[0], "m1", "");
	client_resume(&c, rig.ports[0], "f7", 50);
	p = (struct post_replay *)rig_take(&rig, POST_REPLAY);
	rig_hold(&rig, "f7");
	publish_change(101, "7");
	client_wait(&m, "{\"n\":103}");
	reply(p, REPLAY_DONE, 98, 103, false);
	rig_answer(&rig, take_lookup(), LOOKUP_OK, "7", "foreman"); /* of before the page came */
	rig_answer(&rig, take_lookup(), LOOKUP_UNKNOWN, NULL, NULL);
	client_wait_end(&c);
	client_is_told(&c, "");
	client_close(&c);
	client_close(&m);
}

/* The token says itself when it ends; from then on a verdict is waited for. */
TEST(a_token_that_ends)
{
	struct post_lookup *l;
	struct client c, m;

	client_stream(&m, rig.ports[0], "m1", "");
	rig_hold(&rig, "f7");
	client_get(&c, rig.ports[0], "/events/", "f7", "");
	for (int i = 0; i < 2; i++) { /* the second time because it was told to live longer */
		l = take_lookup();
		l->who = xcalloc(1, sizeof(*l->who));
		*l->who = (struct principal){
			.user_id = xstrdup("7"), .role = xstrdup("foreman"), .expires_ms = 1000};
		l->verdict = LOOKUP_OK;
		inbox_post(l->reply_to, &l->letter);
	}
	l = take_lookup();
	rig_publish_one(&rig, 101, "7", "7");
	client_wait(&m, "{\"n\":101}");
	rig_answer(&rig, l, LOOKUP_UNKNOWN, NULL, NULL);
	client_wait_end(&c);
	client_is_told(&c, "");
	client_close(&c);
	client_close(&m);
}

static struct stream *ends_in(struct stream *s, uint64_t ms)
{
	struct principal who = {0};

	principal_expires(&who, ms);
	stream_set_recheck(s, &who);
	return s;
}

/* By the clock of the wheel: a minute before, not a second earlier, and what is left, rounded up.
 */
TEST(when_the_end_is_told)
{
	struct conf conf = {.recheck_ms = 30000};
	struct worker w = {.loop = loop_new(), .conf = &conf};
	struct stream s = {.worker = &w};
	uint32_t now = stream_now_s(&s);

	assert_int_equal(stream_ends_soon(ends_in(&s, 0)), 0); /* never */
	assert_int_equal(s.ends_s, 0);
	assert_int_equal(stream_ends_soon(ends_in(&s, 60001)), 0);
	assert_int_equal(s.ends_s, now + 61);
	assert_int_equal(stream_ends_soon(ends_in(&s, 60000)), 60);
	assert_int_equal(stream_ends_soon(ends_in(&s, 59001)), 60);
	assert_int_equal(stream_ends_soon(ends_in(&s, 1)), 1);
	for (uint32_t left = 61; left; left--) {
		s.ends_s = now + left;
		assert_int_equal(stream_ends_soon(&s), left > 60 ? 0 : left);
	}
	s.ends_s = now; /* it has ended */
	assert_int_equal(stream_ends_soon(&s), 0);
	s.ends_s = now - 1;
	assert_int_equal(stream_ends_soon(&s), 0);
	loop_free(w.loop);
}

/* What changed while the journal could not be read is not known: everybody is looked up. */
TEST(after_a_gap)
{
	struct event *e = event_resync("pruned", "[\"estimate\"]", NULL, 1700000000);
	struct post_lookup *l;
	struct client c, m;

	client_stream(&m, rig.ports[0], "m1", "");
	client_stream(&c, rig.ports[0], "f7", "");
	rig_publish_one(&rig, 101, "7", "7");
	client_wait(&c, "{\"n\":101}");
	rig_hold(&rig, "f7");
	rig_restart(&rig, 200);
	rig_publish(&rig, &e, 1, 200);
	rig_publish_one(&rig, 201, "7", "7");
	client_wait(&m, "{\"n\":201}");
	l = take_lookup();
	rig_answer(&rig, l, LOOKUP_OK, "7", "foreman");
	client_wait(&c, "\"reason\": \"pruned\"");
	client_wait(&c, "{\"n\":201}");
	client_is_told(&c, "101 201");
	client_close(&c);
	client_close(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_that_came_with_a_revocation, start, stop),
		cmocka_unit_test_setup_teardown(what_may_be_heard_follows_in_order, start, stop),
		cmocka_unit_test_setup_teardown(another_role_hears_what_is_its_own, start, stop),
		cmocka_unit_test_setup_teardown(another_user_is_nobody, start, stop),
		cmocka_unit_test_setup_teardown(an_older_look_up_is_no_verdict, start, stop),
		cmocka_unit_test_setup_teardown(changes_without_end, start, stop),
		cmocka_unit_test_setup_teardown(no_verdict, start, stop),
		cmocka_unit_test_setup_teardown(a_stream_that_begins, start, stop),
		cmocka_unit_test_setup_teardown(a_page_of_the_journal, start, stop),
		cmocka_unit_test_setup_teardown(a_change_during_a_replay, start, stop),
		cmocka_unit_test_setup_teardown(a_page_that_comes_to_a_held_stream, start, stop),
		cmocka_unit_test_setup_teardown(a_token_that_ends, start, stop),
		cmocka_unit_test_setup_teardown(when_the_end_is_told, start, stop),
		cmocka_unit_test_setup_teardown(after_a_gap, start, stop),
	};

	return cmocka_run_group_tests_name("stream_rights", tests, NULL, NULL);
}
