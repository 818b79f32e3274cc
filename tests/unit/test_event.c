/* SPDX-License-Identifier: PostgreSQL
 * hub/event: what a journal row becomes, byte for byte, and that two threads encode it once. */
#include "config.h"
#include "unit.h"

#include <pthread.h>

#include "base/buf.h"
#include "hub/event.h"

static const struct event_row update = {
	.op = 'u',
	.txid = 5,
	.id = 9,
	.at = 1700000000,
	.topic = "estimate",
	.doc = "{\"id\":1}",
	.leave = "{\"key\":1}",
	.before = "{7,8}",
	.after = "{8,9}",
	.cursor = "abcd1234.0.2s",
};

static void expect_frame(struct event *e, enum scope_view view, const char *want)
{
	struct frame *f = event_frame(e, 0, view);

	assert_int_equal(f->body_len, strlen(want));
	assert_memory_equal(f->bytes + f->body_at, want, f->body_len);
	assert_ptr_equal(event_frame(e, 0, view), f); /* made once */
	assert_int_equal(f->refs, 1);
}

TEST(views)
{
	struct event *e = event_new(&update);

	assert_string_equal(e->type, "estimate.updated");
	assert_string_equal(e->topic, "estimate");
	assert_true(e->txid == 5 && e->id == 9 && e->at == 1700000000);
	expect_frame(e, VIEW_WHOLE,
		     "data: {\"event\": \"estimate.updated\", \"data\": "
		     "{\"id\":1}, \"timestamp\": 1700000000}\nid: abcd1234.0.2s\n\n");
	expect_frame(e, VIEW_ENTER,
		     "data: {\"event\": \"estimate.updated\", \"data\": "
		     "{\"id\":1}, \"scope\": \"enter\", \"timestamp\": 1700000000}\nid: "
		     "abcd1234.0.2s\n\n");
	expect_frame(e, VIEW_LEAVE,
		     "data: {\"event\": \"estimate.updated\", \"data\": "
		     "{\"key\":1}, \"scope\": \"leave\", \"timestamp\": 1700000000}\nid: "
		     "abcd1234.0.2s\n\n");
	event_unref(e);
}

static void expect_channel(const char *before, const char *after, enum scope_view view,
			   const char *want)
{
	const struct form_parts plain = {.transport = TRANSPORT_NDJSON, .dialect = DIALECT_PLAIN};
	struct event_row row = update;
	struct event *e;
	struct frame *f;

	row.keyed = true;
	row.before = before;
	row.after = after;
	e = event_new(&row);
	f = event_frame(e, form_of(&plain), view);
	assert_ptr_equal(event_frame(e, form_of(&plain), view), f);
	assert_ptr_not_equal(event_frame(e, 0, view), f);
	assert_non_null(strstr(f->bytes, want));
	event_unref(e);
}

/* Who hears an event by one channel is not told of another. */
TEST(the_channel_of_an_event)
{
	expect_channel("{#a}", "{#b}", VIEW_WHOLE, "\"channel\": \"b\"");
	expect_channel("{#a}", "{#b}", VIEW_LEAVE, "\"channel\": \"a\"");
	expect_channel("{#a}", NULL, VIEW_WHOLE, "\"channel\": \"a\"");
	expect_channel(NULL, "{#a,#b}", VIEW_WHOLE, "\"channel\": null");
	expect_channel(NULL, "{7}", VIEW_WHOLE, "\"channel\": null");
	expect_channel(NULL, "{*}", VIEW_WHOLE, "\"channel\": null");
}

TEST(a_former_owner_never_gets_the_document)
{
	struct event_row row = update;
	struct event *e;

	row.leave = NULL;
	e = event_new(&row);
	expect_frame(
		e, VIEW_LEAVE,
		"data: {\"event\": \"estimate.updated\", \"data\": "
		"null, \"scope\": \"leave\", \"timestamp\": 1700000000}\nid: abcd1234.0.2s\n\n");
	event_unref(e);
}

TEST(types_and_missing_parts)
{
	struct event_row row = {.op = 'i', .topic = "a"};
	struct event *e = event_new(&row);

	assert_string_equal(e->type, "a.created");
	assert_int_equal(e->before.n, 0);
	assert_int_equal(e->after.n, 0);
	expect_frame(e, VIEW_WHOLE,
		     "data: {\"event\": \"a.created\", \"data\": null, "
		     "\"timestamp\": 0}\n\n");
	event_unref(e);
	row.op = 'd';
	e = event_new(&row);
	assert_string_equal(e->type, "a.deleted");
	event_unref(e);
	event_unref(NULL);
}

TEST(a_document_with_line_ends)
{
	struct event_row row = {.op = 'i', .topic = "a", .doc = "{\n\"x\":1}"};
	struct event *e = event_new(&row);

	expect_frame(e, VIEW_WHOLE,
		     "data: {\"event\": \"a.created\", \"data\": {\n"
		     "data: \"x\":1}, \"timestamp\": 0}\n\n");
	event_unref(e);
}

/* To some clients these end a line: U+0085, U+2028, U+2029; their neighbours do not. */
TEST(a_document_with_other_line_ends)
{
	struct event_row row = {.op = 'u',
				.topic = "a",
				.doc = "{\"x\":\"\xc2\x85\xe2\x80\xa7\xe2\x80\xa8\"}",
				.leave = "\"\xe2\x80\xa9\xc2\x86\""};
	struct event *e = event_new(&row);

	expect_frame(e, VIEW_WHOLE,
		     "data: {\"event\": \"a.updated\", \"data\": "
		     "{\"x\":\"\\u0085\xe2\x80\xa7\\u2028\"}, \"timestamp\": 0}\n\n");
	expect_frame(e, VIEW_LEAVE,
		     "data: {\"event\": \"a.updated\", \"data\": \"\\u2029\xc2\x86\", \"scope\": "
		     "\"leave\", \"timestamp\": 0}\n\n");
	event_unref(e);
}

TEST(owners_are_split)
{
	struct event_row row = update;
	struct event *e = event_new(&row);

	assert_int_equal(e->before.n, 2);
	assert_string_equal(e->before.list[0], "7");
	assert_string_equal(e->before.list[1], "8");
	assert_int_equal(e->after.n, 2);
	assert_string_equal(e->after.list[0], "8");
	assert_string_equal(e->after.list[1], "9");
	row.after = "{9,10,9,1}"; /* in an order of their own, each once */
	event_unref(e);
	e = event_new(&row);
	assert_int_equal(e->after.n, 3);
	assert_string_equal(e->after.list[0], "1");
	assert_string_equal(e->after.list[1], "10");
	assert_string_equal(e->after.list[2], "9");
	event_unref(e);
	row.before = "{}";
	row.after = "{\"7\x1f"
		    "8\"}"; /* one owner, whatever separates fields elsewhere */
	e = event_new(&row);
	assert_int_equal(e->before.n, 0);
	assert_int_equal(e->after.n, 1);
	assert_string_equal(e->after.list[0], "7\x1f"
					      "8");
	event_unref(e);
}

static void expect_resync(char op, const char *doc, const char *reason)
{
	struct event_row row = update;
	struct event *e;
	char want[200];

	row.op = op;
	row.doc = doc;
	e = event_new(&row);
	assert_int_equal(e->op, 'r');
	assert_int_equal(e->before.n + e->after.n, 0);
	snprintf(want, sizeof(want),
		 "data: {\"event\": \"system.resync\", \"data\": {\"reason\": "
		 "\"%s\", \"topics\": [\"estimate\"]}, \"timestamp\": 1700000000}\nid: "
		 "abcd1234.0.2s\n\n",
		 reason);
	expect_frame(e, VIEW_WHOLE, want);
	event_unref(e);
}

TEST(resyncs)
{
	struct event *e = event_resync("epoch", "[\"a\", \"b\"]", NULL, 7);

	expect_frame(e, VIEW_WHOLE,
		     "data: {\"event\": \"system.resync\", \"data\": {\"reason\": "
		     "\"epoch\", \"topics\": [\"a\", \"b\"]}, \"timestamp\": 7}\n\n");
	assert_int_equal(e->txid, 0);
	event_unref(e);
	expect_resync('t', NULL, "truncate");
	expect_resync('r', NULL, "storm");
	expect_resync('r', "{\"reason\":\"loss\"}", "loss");
	expect_resync('?', NULL, "storm"); /* unknown: better refetch than be silent */
}

/* "Fetch again" for these owners, and nobody else; of too many for everybody. And what another row
 * of its transaction tells is for nobody. */
TEST(resyncs_of_some_and_words_to_nobody)
{
	const struct scope_policy all = {.receives = RECEIVES_ALL},
				  own = {.receives = RECEIVES_OWN};
	const struct principal seven = {.user_id = (char[]){"7"}}, one = {.user_id = (char[]){"1"}};
	struct event_row row = update;
	struct event *e;
	autobuf many = {0};

	row.op = 'f';
	row.doc = "{\"reason\":\"rescope\"}";
	e = event_new(&row);
	expect_frame(e, VIEW_WHOLE,
		     "data: {\"event\": \"system.resync\", \"data\": {\"reason\": "
		     "\"rescope\", \"topics\": [\"estimate\"]}, \"timestamp\": 1700000000}\nid: "
		     "abcd1234.0.2s\n\n");
	assert_int_equal(event_view(e, &own, &seven), VIEW_WHOLE);
	assert_int_equal(event_view(e, &own, &one), VIEW_NOTHING);
	assert_int_equal(event_view(e, &all, &seven), VIEW_NOTHING);
	event_unref(e);
	buf_init(&many, 1 << 20);
	buf_str(&many, "{0");
	for (unsigned i = 1; i <= EVENT_OWNERS_MAX; i++)
		buf_printf(&many, ",%u", i);
	buf_char(&many, '}');
	row.before = buf_cstr(&many);
	e = event_new(&row);
	assert_int_equal(event_view(e, &own, &one), VIEW_WHOLE);
	assert_int_equal(event_view(e, &all, &one), VIEW_WHOLE);
	event_unref(e);
	row = update;
	row.op = 'o'; /* nothing of the row has changed: only who has won or lost it hears */
	row.before = "{1}";
	row.after = "{7}";
	e = event_new(&row);
	assert_string_equal(e->type, "estimate.updated");
	assert_int_equal(event_view(e, &own, &seven), VIEW_ENTER);
	assert_int_equal(event_view(e, &own, &one), VIEW_LEAVE);
	assert_int_equal(event_view(e, &all, &seven), VIEW_NOTHING);
	event_unref(e);
	row = update;
	row.op = 'x';
	e = event_new(&row);
	assert_int_equal(event_view(e, &own, &seven), VIEW_NOTHING);
	assert_int_equal(event_view(e, &all, &seven), VIEW_NOTHING);
	event_unref(e);
}

TEST(event_view_by_policy)
{
	char pattern[] = "estimate.updated";
	char *patterns[] = {pattern};
	struct scope_policy all = {.receives = RECEIVES_ALL}, own = {.receives = RECEIVES_OWN},
			    none = {.receives = RECEIVES_NONE},
			    some = {.receives = RECEIVES_ALL,
				    .patterns = patterns,
				    .n_patterns = 1};
	char seven[] = "7", eight[] = "8", nine[] = "9", ten[] = "10";
	struct principal p7 = {.user_id = seven}, p8 = {.user_id = eight}, p9 = {.user_id = nine},
			 p10 = {.user_id = ten};
	struct event *e = event_new(&update);
	struct event *resync = event_resync("loss", "[]", NULL, 0);
	struct event_row row = update;
	struct event *created;

	row.op = 'i';
	created = event_new(&row);
	assert_int_equal(event_view(e, &all, &p10), VIEW_WHOLE);
	assert_int_equal(event_view(e, &own, &p7), VIEW_LEAVE);
	assert_int_equal(event_view(e, &own, &p8), VIEW_WHOLE);
	assert_int_equal(event_view(e, &own, &p9), VIEW_ENTER);
	assert_int_equal(event_view(e, &own, &p10), VIEW_NOTHING);
	assert_int_equal(event_view(e, &none, &p8), VIEW_NOTHING);
	assert_int_equal(event_view(e, &some, &p10), VIEW_WHOLE);
	assert_int_equal(event_view(created, &some, &p10), VIEW_NOTHING);
	some.receives = RECEIVES_OWN;
	assert_int_equal(event_view(created, &some, &p9), VIEW_NOTHING);
	assert_int_equal(event_view(resync, &own, &p10), VIEW_WHOLE);
	assert_int_equal(event_view(resync, &some, &p10), VIEW_WHOLE);
	assert_int_equal(event_view(resync, &none, &p10), VIEW_NOTHING);
	event_unref(e);
	event_unref(created);
	event_unref(resync);
}

#define ROUNDS 2000

struct race {
	pthread_barrier_t barrier;
	struct event *events[ROUNDS];
	struct frame *frames[2][ROUNDS];
};

struct racer {
	struct race *race;
	int number;
};

static void *encode_all(void *arg)
{
	struct racer *r = arg;

	for (int i = 0; i < ROUNDS; i++) {
		struct event *e = r->race->events[i];

		if (i % 50 == 0)
			pthread_barrier_wait(&r->race->barrier); /* neck and neck */
		r->race->frames[r->number][i] = event_frame(e, 0, VIEW_WHOLE);
		assert_true(r->race->frames[r->number][i]->len > 0);
		event_unref(e);
	}
	return NULL;
}

TEST(two_threads_encode_one_frame)
{
	static struct race race;
	struct racer racers[2] = {{&race, 0}, {&race, 1}};
	pthread_t threads[2];

	pthread_barrier_init(&race.barrier, NULL, 2);
	for (int i = 0; i < ROUNDS; i++) {
		race.events[i] = event_new(&update);
		event_ref(race.events[i]);
		event_ref(race.events[i]); /* one for each thread, one for us */
	}
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, encode_all, &racers[i]), 0);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < ROUNDS; i++) {
		assert_ptr_equal(race.frames[0][i], race.frames[1][i]);
		assert_int_equal(race.events[i]->refs, 1);
		event_unref(race.events[i]);
	}
	pthread_barrier_destroy(&race.barrier);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(views),
		cmocka_unit_test(the_channel_of_an_event),
		cmocka_unit_test(a_former_owner_never_gets_the_document),
		cmocka_unit_test(types_and_missing_parts),
		cmocka_unit_test(a_document_with_line_ends),
		cmocka_unit_test(a_document_with_other_line_ends),
		cmocka_unit_test(owners_are_split),
		cmocka_unit_test(resyncs),
		cmocka_unit_test(resyncs_of_some_and_words_to_nobody),
		cmocka_unit_test(event_view_by_policy),
		cmocka_unit_test(two_threads_encode_one_frame),
	};

	return cmocka_run_group_tests_name("event", tests, NULL, NULL);
}
