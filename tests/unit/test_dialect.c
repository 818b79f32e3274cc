/* SPDX-License-Identifier: PostgreSQL
 * wire/dialect, through wire/form: the exact bytes that existing clients were written against, of
 * every dialect in every kind of transport. */
#include "config.h"
#include "unit.h"

#include <string.h>

#include "wire/form.h"

#define ID	"e.0.2"
#define DOC	"{\"task_id\": \"123\", \"progress\": 50}"
#define GAP	"{\"reason\": \"storm\", \"topics\": [\"task\"]}"
#define CLOSED	"{\"type\": \"closed\", \"error\": \"why\"}"
#define GREETED "{\"event\": \"connected\", \"message\": \"SSE connection established\""

struct golden {
	struct form_parts parts;
	const char *hello, *full; /* the latter for user 7, who asks */
	const char *event, *enter, *leave;
	const char *resync, *keepalive, *quiet; /* the latter without an id */
	const char *farewell, *broken;
};

#define SSE(d)	  .parts = {.transport = TRANSPORT_SSE, .dialect = d}
#define NDJSON(d) .parts = {.transport = TRANSPORT_NDJSON, .dialect = d}

static const struct golden table[] = {
	{SSE(DIALECT_DJANGO), .hello = "retry: 3000\ndata: " GREETED "}\nid: " ID "\n\n",
	 .full = "retry: 3000\ndata: " GREETED ", \"keepalive\": 30, \"user\": \"7\"}\nid: " ID
		 "\n\n",
	 .event = "data: {\"event\": \"task.progress\", \"data\": " DOC
		  ", \"timestamp\": 1704110400}\nid: " ID "\n\n",
	 .enter = "data: {\"event\": \"task.progress\", \"data\": " DOC
		  ", \"scope\": \"enter\", \"timestamp\": 1704110400}\nid: " ID "\n\n",
	 .leave = "data: {\"event\": \"task.progress\", \"data\": " DOC
		  ", \"scope\": \"leave\", \"timestamp\": 1704110400}\nid: " ID "\n\n",
	 .resync = "data: {\"event\": \"system.resync\", \"data\": " GAP
		   ", \"timestamp\": 1704110400}\nid: " ID "\n\n",
	 .keepalive = "data: {\"event\": \"keepalive\", \"timestamp\": 1704110400}\nid: " ID "\n\n",
	 .quiet = "data: {\"event\": \"keepalive\", \"timestamp\": 1704110400}\n\n",
	 .farewell = "retry: 4000\n", .broken = ""},
	{NDJSON(DIALECT_DJANGO), .hello = GREETED ", \"id\": \"" ID "\", \"retry\": 3000}\n",
	 .full = GREETED ", \"keepalive\": 30, \"user\": \"7\", \"id\": \"" ID
			 "\", \"retry\": 3000}\n",
	 .event = "{\"event\": \"task.progress\", \"data\": " DOC
		  ", \"timestamp\": 1704110400, \"id\": \"" ID "\"}\n",
	 .enter = "{\"event\": \"task.progress\", \"data\": " DOC
		  ", \"scope\": \"enter\", \"timestamp\": 1704110400, \"id\": \"" ID "\"}\n",
	 .leave = "{\"event\": \"task.progress\", \"data\": " DOC
		  ", \"scope\": \"leave\", \"timestamp\": 1704110400, \"id\": \"" ID "\"}\n",
	 .resync = "{\"event\": \"system.resync\", \"data\": " GAP
		   ", \"timestamp\": 1704110400, \"id\": \"" ID "\"}\n",
	 .keepalive = "{\"event\": \"keepalive\", \"timestamp\": 1704110400, \"id\": \"" ID "\"}\n",
	 .quiet = "{\"event\": \"keepalive\", \"timestamp\": 1704110400}\n",
	 .farewell =
		 "{\"event\": \"system.farewell\", \"timestamp\": 1704110400, \"retry\": 4000}\n",
	 .broken = ""},
	{SSE(DIALECT_CHAT), .hello = "retry: 3000\nid: " ID "\n\n",
	 .full = "retry: 3000\nevent: herald.hello\ndata: {\"keepalive\": 30, \"user\": "
		 "\"7\"}\nid: " ID "\n\n",
	 .event = "event: task.progress\ndata: " DOC "\nid: " ID "\n\n",
	 .enter = "event: task.progress\ndata: " DOC "\nid: " ID "\n\n",
	 .leave = "event: task.leave\ndata: " DOC "\nid: " ID "\n\n",
	 .resync = "event: herald.gap\ndata: " GAP "\nid: " ID "\n\n",
	 .keepalive = ": heartbeat\nid: " ID "\n\n", .quiet = ": heartbeat\n\n",
	 .farewell = "retry: 4000\n", .broken = "event: stream-error\ndata: " CLOSED "\n\n"},
	{NDJSON(DIALECT_CHAT),
	 .hello = "{\"event_type\": \"heartbeat\", \"payload\": {\"timestamp\": 1704110400, "
		  "\"id\": \"" ID "\", \"retry\": 3000}}\n",
	 .full = "{\"event_type\": \"heartbeat\", \"payload\": {\"timestamp\": 1704110400, "
		 "\"keepalive\": 30, \"user\": \"7\", \"id\": \"" ID "\", \"retry\": 3000}}\n",
	 .event = "{\"event_type\": \"task.progress\", \"payload\": " DOC ", \"id\": \"" ID "\"}\n",
	 .enter = "{\"event_type\": \"task.progress\", \"payload\": " DOC ", \"id\": \"" ID "\"}\n",
	 .leave = "{\"event_type\": \"task.leave\", \"payload\": " DOC ", \"id\": \"" ID "\"}\n",
	 .resync = "{\"event_type\": \"herald.gap\", \"payload\": " GAP ", \"id\": \"" ID "\"}\n",
	 .keepalive = "{\"event_type\": \"heartbeat\", \"payload\": {\"timestamp\": 1704110400, "
		      "\"id\": \"" ID "\"}}\n",
	 .quiet = "{\"event_type\": \"heartbeat\", \"payload\": {\"timestamp\": 1704110400}}\n",
	 .farewell = "{\"event_type\": \"herald.farewell\", \"payload\": {\"timestamp\": "
		     "1704110400, \"retry\": 4000}}\n",
	 .broken = "{\"event_type\": \"error\", \"payload\": " CLOSED "}\n"},
	{SSE(DIALECT_RAW), .hello = "retry: 3000\nid: " ID "\n\n",
	 .full = "retry: 3000\nevent: herald.hello\ndata: {\"keepalive\": 30, \"user\": "
		 "\"7\"}\nid: " ID "\n\n",
	 .event = "data: " DOC "\nid: " ID "\n\n", .enter = "data: " DOC "\nid: " ID "\n\n",
	 .leave = "data: " DOC "\nid: " ID "\n\n",
	 .resync = "event: herald.gap\ndata: " GAP "\nid: " ID "\n\n",
	 .keepalive = ": ping - 2024-01-01 12:00:00+00:00\nid: " ID "\n\n",
	 .quiet = ": ping - 2024-01-01 12:00:00+00:00\n\n", .farewell = "retry: 4000\n",
	 .broken = ""},
	/* As the guide of its clients has it: nothing but the documents. */
	{.parts = {.transport = TRANSPORT_SSE, .dialect = DIALECT_RAW, .no_ids = true},
	 .hello = "retry: 3000\n",
	 .full = "retry: 3000\nevent: herald.hello\ndata: {\"keepalive\": 30, \"user\": \"7\"}\n\n",
	 .event = "data: " DOC "\n\n",
	 .enter = "data: " DOC "\n\n",
	 .leave = "data: " DOC "\n\n",
	 .resync = "event: herald.gap\ndata: " GAP "\n\n",
	 .keepalive = ": ping - 2024-01-01 12:00:00+00:00\n\n",
	 .quiet = ": ping - 2024-01-01 12:00:00+00:00\n\n",
	 .farewell = "retry: 4000\n",
	 .broken = ""},
	{.parts = {.transport = TRANSPORT_NDJSON, .dialect = DIALECT_RAW, .no_ids = true},
	 .hello = "\n",
	 .full = "\n",
	 .event = DOC "\n",
	 .enter = DOC "\n",
	 .leave = DOC "\n",
	 .resync = "{\"type\": \"herald.gap\", \"object\": " GAP "}\n",
	 .keepalive = "\n",
	 .quiet = "\n",
	 .farewell = "\n",
	 .broken = ""},
	{SSE(DIALECT_STREAMING), .hello = "retry: 3000\nid: " ID "\n\n",
	 .full = "retry: 3000\nevent: herald.hello\ndata: {\"keepalive\": 30, \"user\": "
		 "\"7\"}\nid: " ID "\n\n",
	 .event = "event: task.progress\ndata: " DOC "\nid: " ID "\n\n",
	 .enter = "event: task.progress\ndata: " DOC "\nid: " ID "\n\n",
	 .leave = "event: task.leave\ndata: " DOC "\nid: " ID "\n\n",
	 .resync = "event: herald.gap\ndata: " GAP "\nid: " ID "\n\n",
	 .keepalive = ": ping\nid: " ID "\n\n", .quiet = ": ping\n\n", .farewell = "retry: 4000\n",
	 .broken = "event: error\ndata: " CLOSED "\n\n"},
	{NDJSON(DIALECT_STREAMING),
	 .hello = "{\"id\": \"" ID "\", \"type\": \"ping\", \"retry\": 3000}\n",
	 .full = "{\"id\": \"" ID "\", \"type\": \"ping\", \"keepalive\": 30, \"user\": \"7\", "
		 "\"retry\": 3000}\n",
	 .event = "{\"id\": \"" ID "\", \"type\": \"task.progress\", \"content\": " DOC "}\n",
	 .enter = "{\"id\": \"" ID "\", \"type\": \"task.progress\", \"content\": " DOC "}\n",
	 .leave = "{\"id\": \"" ID "\", \"type\": \"task.leave\", \"content\": " DOC "}\n",
	 .resync = "{\"id\": \"" ID "\", \"type\": \"herald.gap\", \"content\": " GAP "}\n",
	 .keepalive = "{\"id\": \"" ID "\", \"type\": \"ping\"}\n",
	 .quiet = "{\"type\": \"ping\"}\n",
	 .farewell = "{\"type\": \"herald.farewell\", \"retry\": 4000}\n",
	 .broken = "{\"type\": \"error\", \"content\": " CLOSED "}\n"},
	/* Fields in the order that its guide has them in. */
	{.parts = {.transport = TRANSPORT_SSE,
		   .dialect = DIALECT_PLAIN,
		   .txid = true,
		   .each_retry_ms = 5000},
	 .hello = "retry: 3000\nevent: herald.hello\ndata: {\"keepalive\": 30, \"resumed\": "
		  "true}\nid: " ID "\n\n",
	 .full = "retry: 3000\nevent: herald.hello\ndata: {\"keepalive\": 30, \"resumed\": true, "
		 "\"user\": \"7\"}\nid: " ID "\n\n",
	 .event = "event: task.progress\ndata: {\"task_id\": \"123\", \"progress\": 50, \"txid\": "
		  "77}\nid: " ID "\nretry: 5000\n\n",
	 .enter = "event: task.progress\ndata: {\"task_id\": \"123\", \"progress\": 50, \"txid\": "
		  "77}\nid: " ID "\nretry: 5000\n\n",
	 .leave = "event: task.leave\ndata: {\"task_id\": \"123\", \"progress\": 50, \"txid\": "
		  "77}\nid: " ID "\nretry: 5000\n\n",
	 .resync = "event: herald.gap\ndata: " GAP "\nid: " ID "\n\n",
	 .keepalive = ": hb\nid: " ID "\n\n",
	 .quiet = ": hb\n\n",
	 .farewell = "retry: 4000\n",
	 .broken = "event: stream-error\ndata: " CLOSED "\n\n"},
	{NDJSON(DIALECT_PLAIN),
	 .hello = "{\"id\": \"" ID "\", \"type\": \"herald.hello\", \"data\": {\"keepalive\": 30, "
		  "\"resumed\": true}, \"retry\": 3000}\n",
	 .full = "{\"id\": \"" ID "\", \"type\": \"herald.hello\", \"data\": {\"keepalive\": 30, "
		 "\"resumed\": true, \"user\": \"7\"}, \"retry\": 3000}\n",
	 .event = "{\"id\": \"" ID "\", \"type\": \"task.progress\", \"channel\": \"tasks\", "
		  "\"data\": " DOC ", \"ts\": 1704110400, \"txid\": 77}\n",
	 .enter = "{\"id\": \"" ID "\", \"type\": \"task.progress\", \"channel\": \"tasks\", "
		  "\"data\": " DOC ", \"ts\": 1704110400, \"txid\": 77}\n",
	 .leave = "{\"id\": \"" ID "\", \"type\": \"task.leave\", \"channel\": \"tasks\", "
		  "\"data\": " DOC ", \"ts\": 1704110400, \"txid\": 77}\n",
	 .resync = "{\"id\": \"" ID "\", \"type\": \"herald.gap\", \"data\": " GAP
		   ", \"ts\": 1704110400}\n",
	 .keepalive = "{\"id\": \"" ID "\", \"type\": \"herald.heartbeat\"}\n",
	 .quiet = "{\"type\": \"herald.heartbeat\"}\n",
	 .farewell = "{\"type\": \"herald.farewell\", \"retry\": 4000}\n",
	 .broken = "{\"type\": \"stream-error\", \"data\": " CLOSED "}\n"},
};

static void same(struct buf *b, const char *want)
{
	assert_true(buf_ok(b));
	assert_string_equal(buf_cstr(b), want);
	buf_clear(b);
}

static void check_ends(const struct golden *g, uint32_t form, struct buf *b)
{
	struct news n = {.keepalive_s = 30, .resumed = true, .at = 1704110400};

	form_hello(form, b, &n, 3000, ID);
	same(b, g->hello);
	n.full = true;
	n.user = "7";
	form_hello(form, b, &n, 3000, ID);
	same(b, g->full);
	form_keepalive(form, b, 1704110400, ID);
	same(b, g->keepalive);
	form_keepalive(form, b, 1704110400, NULL);
	same(b, g->quiet);
	form_farewell(form, b, 4000, 1704110400, ID);
	same(b, g->farewell);
	form_break(form, b, END_CREDENTIAL, "why");
	same(b, g->broken);
}

static void check_events(const struct golden *g, uint32_t form, struct buf *b)
{
	struct news n = {.type = "task.progress",
			 .doc = DOC,
			 .channel = "tasks",
			 .txid = 77,
			 .reason = "storm",
			 .topics = "[\"task\"]",
			 .at = 1704110400};

	form_event(form, b, &n, ID);
	same(b, g->event);
	n.scope = "enter";
	form_event(form, b, &n, ID);
	same(b, g->enter);
	n.scope = "leave";
	form_event(form, b, &n, ID);
	same(b, g->leave);
	form_resync(form, b, &n, ID);
	same(b, g->resync);
}

TEST(golden_bytes)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		uint32_t form = form_of(&table[i].parts);
		autobuf b = {.max = 4096};

		check_ends(&table[i], form, &b);
		check_events(&table[i], form, &b);
	}
}

/* None is left out of the table: what existing clients were written against stands there. */
TEST(every_dialect_has_its_bytes)
{
	for (enum wire_dialect d = 0; d < N_DIALECTS; d++) {
		bool sse = false, object = false;

		for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
			if (table[i].parts.dialect == d) {
				sse |= table[i].parts.transport == TRANSPORT_SSE;
				object |= table[i].parts.transport != TRANSPORT_SSE;
			}
		if (!sse || !object)
			fail_msg("%s: no bytes %s", dialect_names[d],
				 sse ? "of an object" : "in SSE");
	}
}

/* Everything that a form says, one behind the other. */
static void say_all(uint32_t form, struct buf *b)
{
	const struct news n = {.type = "task.progress",
			       .doc = "{\"a\":\n1}",
			       .reason = "storm",
			       .topics = "[]",
			       .full = true,
			       .user = "7",
			       .at = 1704110400};

	form_hello(form, b, &n, 3000, ID);
	form_event(form, b, &n, ID);
	form_resync(form, b, &n, NULL);
	form_keepalive(form, b, n.at, ID);
	form_comment(form, b, "why");
	form_probe(form, b, n.at);
	form_break(form, b, END_RESTART, "why");
	form_farewell(form, b, 4000, n.at, ID);
}

/* The same lines, ended by CR LF; nothing else has lines. */
TEST(line_ends)
{
	for (enum wire_transport t = 0; t < N_TRANSPORTS; t++)
		for (enum wire_dialect d = 0; d < N_DIALECTS; d++) {
			struct form_parts parts = {
				.transport = t, .dialect = d, .each_retry_ms = 5000};
			autobuf lf = {.max = 4096}, crlf = {.max = 4096}, want = {.max = 8192};

			say_all(form_of(&parts), &lf);
			parts.crlf = true;
			say_all(form_of(&parts), &crlf);
			for (size_t i = 0; i < lf.len; i++) {
				if (t == TRANSPORT_SSE && lf.data[i] == '\n')
					buf_char(&want, '\r');
				buf_char(&want, lf.data[i]);
			}
			assert_int_equal(crlf.len, want.len);
			assert_memory_equal(crlf.data, want.data, want.len);
		}
}

TEST(which_daemon)
{
	const struct form_parts parts = {.dialect = DIALECT_PLAIN};
	const struct news n = {.keepalive_s = 5, .server = "9f3a1c07"};
	autobuf b = {.max = 4096};

	form_hello(form_of(&parts), &b, &n, 1, NULL);
	same(&b, "retry: 1\nevent: herald.hello\ndata: {\"keepalive\": 5, \"resumed\": false, "
		 "\"server\": \"9f3a1c07\"}\n\n");
}

TEST(odd_ones)
{
	struct form_parts parts = {.transport = TRANSPORT_NDJSON};
	struct news n = {.type = "a\"b.deleted", .doc = "null", .scope = "leave", .at = -1};
	autobuf b = {.max = 4096};

	form_event(form_of(&parts), &b, &n, NULL);
	same(&b,
	     "{\"event\": \"a\\\"b.deleted\", \"data\": null, \"scope\": \"leave\", \"timestamp\": "
	     "-1}\n");
	parts.dialect = DIALECT_CHAT;
	form_event(form_of(&parts), &b, &n, NULL);
	same(&b, "{\"event_type\": \"a\\\"b.leave\", \"payload\": null}\n");
	n.type = "nodot";
	parts.dialect = DIALECT_PLAIN;
	form_event(form_of(&parts), &b, &n, NULL);
	same(&b, "{\"type\": \"nodot.leave\", \"channel\": null, \"data\": null, \"ts\": -1}\n");
	n = (struct news){.full = true, .keepalive_s = 5};
	parts = (struct form_parts){.dialect = DIALECT_PLAIN};
	form_hello(form_of(&parts), &b, &n, 1, "x");
	same(&b, "retry: 1\nevent: herald.hello\ndata: {\"keepalive\": 5, \"resumed\": false}\n"
		 "id: x\n\n");
}

/* Whatever a document is, it stays one when the transaction is put into it. */
TEST(a_transaction_inside)
{
	const struct form_parts parts = {.dialect = DIALECT_PLAIN, .txid = true};
	static const char *const docs[][2] = {
		{"{}", "data: {\"txid\": 8}\n\n"},
		{"{ \n}", "data: {\"txid\": 8}\n\n"},
		{"{\"a\": {}}\n", "data: {\"a\": {}, \"txid\": 8}\n\n"},
		{"{\"a\": [1, 2] }", "data: {\"a\": [1, 2], \"txid\": 8}\n\n"},
		{"[{}]", "data: [{}]\n\n"},
		{"\"}\"", "data: \"}\"\n\n"},
		{"null", "data: null\n\n"},
	};

	for (size_t i = 0; i < sizeof(docs) / sizeof(*docs); i++) {
		struct news n = {.type = "a", .doc = docs[i][0], .txid = 8};
		autobuf b = {.max = 4096}, want = {.max = 4096};

		form_event(form_of(&parts), &b, &n, NULL);
		buf_printf(&want, "event: a\n%s", docs[i][1]);
		assert_string_equal(buf_cstr(&b), buf_cstr(&want));
	}
}

TEST(every_dialect_has_a_name_and_a_voice)
{
	for (enum wire_dialect d = 0; d < N_DIALECTS; d++) {
		assert_string_equal(dialects[d]->name, dialect_names[d]);
		assert_true(dialects[d]->sse.event && dialects[d]->sse.resync);
		assert_true(dialects[d]->object.event && dialects[d]->object.resync);
	}
	assert_null(dialect_names[N_DIALECTS]);
	assert_true(dialect_reserves("herald.gap") && dialect_reserves("system") &&
		    dialect_reserves("connected") && !dialect_reserves("heralds.gap"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(golden_bytes),
		cmocka_unit_test(every_dialect_has_its_bytes),
		cmocka_unit_test(line_ends),
		cmocka_unit_test(which_daemon),
		cmocka_unit_test(odd_ones),
		cmocka_unit_test(a_transaction_inside),
		cmocka_unit_test(every_dialect_has_a_name_and_a_voice),
	};

	return cmocka_run_group_tests_name("dialect", tests, NULL, NULL);
}
