/* SPDX-License-Identifier: PostgreSQL
 * wire/form, wire/ndjson: the exact bytes of each form; and whatever an application's JSON looks
 * like, a line is an object. */
#include "config.h"
#include "unit.h"

#include <json-c/json.h>

#include "wire/form.h"

static const char *text_of(struct buf *b)
{
	assert_true(buf_ok(b));
	return buf_cstr(b);
}

static uint32_t form_in(enum wire_transport transport, enum wire_dialect dialect)
{
	const struct form_parts p = {.transport = transport, .dialect = dialect};

	return form_of(&p);
}

TEST(transport_names)
{
	for (enum wire_transport t = 0; t < N_TRANSPORTS; t++) {
		assert_int_equal(transport_find(transport_name(t)), t);
		if (transport_media(t))
			assert_memory_equal(transport_type(t), transport_media(t),
					    strlen(transport_media(t)));
		assert_true(*transport_title(t));
	}
	assert_int_equal(transport_find(""), N_TRANSPORTS);
	assert_int_equal(transport_find("SSE"), N_TRANSPORTS);
}

/* The same event in each: who adds one says here what its bytes are. */
TEST(an_event_in_every_transport)
{
#define OBJECT "{\"event\": \"a.updated\", \"data\": 1, \"timestamp\": 7, \"id\": \"e.0.2\"}"
	static const char *const want[N_TRANSPORTS] = {
		[TRANSPORT_SSE] =
			"data: {\"event\": \"a.updated\", \"data\": 1, \"timestamp\": 7}\n"
			"id: e.0.2\n\n",
		[TRANSPORT_NDJSON] = OBJECT "\n",
		[TRANSPORT_POLL] = ",\n" OBJECT,
		[TRANSPORT_WEBSOCKET] = "\x81\x40" OBJECT,
	};
	const struct news n = {.type = "a.updated", .doc = "1", .at = 7};

	for (enum wire_transport t = 0; t < N_TRANSPORTS; t++) {
		autobuf b = {.max = 4096};

		assert_non_null(want[t]);
		form_event(form_in(t, DIALECT_DJANGO), &b, &n, "e.0.2");
		assert_string_equal(text_of(&b), want[t]);
	}
#undef OBJECT
}

/* Two forms have the same number when nothing in them differs. */
TEST(numbers)
{
	struct form_parts p = {.transport = TRANSPORT_SSE};
	uint32_t all[N_TRANSPORTS * N_DIALECTS * 16];
	size_t n = 0, there = 0;

	assert_int_equal(form_of(&p), 0);
	for (p.transport = 0; p.transport < N_TRANSPORTS; p.transport++)
		for (p.dialect = 0; p.dialect < N_DIALECTS; p.dialect++)
			for (unsigned bits = 0; bits < 16; bits++) {
				p.no_ids = bits & 1;
				p.txid = bits & 2;
				p.each_retry_ms = bits & 4 ? FORM_RETRY_MAX_MS : 0;
				p.crlf = bits & 8;
				if ((p.each_retry_ms || p.crlf) && p.transport != TRANSPORT_SSE)
					continue;
				all[n] = form_of(&p);
				assert_int_equal(form_transport(all[n]), p.transport);
				assert_true(all[n] < 1 << 30 && form_exists(all[n]));
				for (size_t i = 0; i < n; i++)
					assert_int_not_equal(all[i], all[n]);
				n++;
			}
	for (uint32_t number = 0; number < 32; number++)
		there += form_exists(number);
	assert_int_equal(there, N_TRANSPORTS * N_DIALECTS); /* and where there is room, none */
	assert_false(form_exists(1 << 30));
	assert_false(form_exists((uint64_t)1 << 32));
}

TEST(what_cannot_be_carried)
{
	for (enum wire_transport t = 0; t < N_TRANSPORTS; t++)
		for (enum wire_dialect d = 0; d < N_DIALECTS; d++) {
			bool poll = t == TRANSPORT_POLL;

			assert_int_equal(!form_complaint(t, d, true), !poll);
			assert_int_equal(!form_complaint(t, d, false), d != DIALECT_RAW ||
									       t == TRANSPORT_SSE ||
									       t == TRANSPORT_POLL);
		}
}

TEST(sse_says_little_beside_messages)
{
	autobuf b = {.max = 4096};
	const struct news n = {.type = "a.updated", .doc = "{\n1}", .at = 7};

	form_event(0, &b, &n, "e.0.2");
	form_comment(0, &b, "words");
	form_probe(0, &b, 7);
	assert_string_equal(text_of(&b), "data: {\"event\": \"a.updated\", \"data\": {\ndata: 1}, "
					 "\"timestamp\": 7}\nid: e.0.2\n\n: words\n:\n");
}

TEST(ndjson_says_all_in_lines)
{
	uint32_t form = form_in(TRANSPORT_NDJSON, DIALECT_DJANGO);
	autobuf b = {.max = 4096};
	const struct news n = {.type = "a.updated", .doc = "{\"n\":\r\n1}", .at = 7};

	form_event(form, &b, &n, "e.0.2");
	form_comment(form, &b, "words");
	form_probe(form, &b, 8);
	assert_string_equal(text_of(&b), "{\"event\": \"a.updated\", \"data\": {\"n\":  1}, "
					 "\"timestamp\": 7, \"id\": \"e.0.2\"}\n"
					 "{\"event\": \"keepalive\", \"timestamp\": 8}\n");
}

TEST(poll)
{
	uint32_t form = form_in(TRANSPORT_POLL, DIALECT_DJANGO);
	struct news n = {.type = "a.updated",
			 .doc = "1",
			 .scope = "leave",
			 .reason = "loss",
			 .topics = "[]",
			 .at = 7};
	autobuf b = {.max = 4096};

	form_answered(form, &b, 7, "e.0.3", 60);
	assert_string_equal(text_of(&b), "\n], \"last_event_id\": \"e.0.3\", \"retry\": 7, "
					 "\"expires_in\": 60}\n");
	buf_clear(&b);
	assert_true(transport_is_answer(TRANSPORT_POLL) && !transport_is_answer(TRANSPORT_SSE));
	form_hello(form, &b, &n, 3000, "e.0.1");
	form_event(form, &b, &n, "e.0.2");
	form_comment(form, &b, "words");
	form_probe(form, &b, 8);
	form_resync(form, &b, &n, NULL);
	form_farewell(form, &b, 0, 9, "e.0.3");
	assert_string_equal(
		text_of(&b),
		"{\"events\": [\n{\"event\": \"connected\", \"message\": \"SSE connection "
		"established\", \"id\": \"e.0.1\", \"retry\": 3000},\n"
		"{\"event\": \"a.updated\", \"data\": 1, \"scope\": \"leave\", \"timestamp\": 7, "
		"\"id\": \"e.0.2\"}\n,\n"
		"{\"event\": \"system.resync\", \"data\": {\"reason\": \"loss\", \"topics\": []}, "
		"\"timestamp\": 7}\n], \"last_event_id\": \"e.0.3\", \"retry\": 0}\n");
}

/* In every dialect an answer is one document, whatever ends it. */
TEST(polls_are_documents)
{
	const struct news n = {
		.type = "a.updated", .doc = "{\n}", .reason = "loss", .topics = "[]"};

	for (enum wire_dialect d = 0; d < N_DIALECTS; d++)
		for (int whole = 0; whole < 2; whole++) {
			uint32_t form = form_in(TRANSPORT_POLL, d);
			struct json_object *o, *events;
			autobuf b = {.max = 4096};

			form_hello(form, &b, &n, 3000, "e.0.1");
			form_event(form, &b, &n, "e.0.2");
			form_resync(form, &b, &n, NULL);
			if (whole)
				form_farewell(form, &b, 0, 9, "e.0.3");
			else
				form_break(form, &b, END_CREDENTIAL, "why");
			o = json_tokener_parse(text_of(&b));
			assert_true(json_object_object_get_ex(o, "events", &events));
			assert_int_equal(json_object_array_length(events), 3);
			json_object_put(o);
		}
}

/* A frame's text, of up to 64 KiB, on one line. */
static void expect_text(const char **at, const char *want)
{
	const unsigned char *p = (const unsigned char *)*at;
	size_t len = p[1] < 126 ? p[1] : (size_t)(p[2] << 8 | p[3]), head = p[1] < 126 ? 2 : 4;

	assert_int_equal(p[0], 0x81);
	assert_int_equal(len, strlen(want));
	assert_memory_equal(*at + head, want, len);
	*at += head + len;
}

static void expect_bytes(const char **at, const char *want, size_t len)
{
	assert_memory_equal(*at, want, len);
	*at += len;
}

TEST(websocket)
{
	uint32_t form = form_in(TRANSPORT_WEBSOCKET, DIALECT_DJANGO);
	const struct news n = {.type = "a.updated", .doc = "{\"n\": 1}", .scope = "enter", .at = 7};
	const struct news hello = {.full = true, .keepalive_s = 30, .user = "7"};
	autobuf b = {.max = 4096};
	const char *at;

	assert_true(transport_talks(TRANSPORT_WEBSOCKET) && !transport_talks(TRANSPORT_NDJSON));
	assert_null(transport_media(TRANSPORT_WEBSOCKET));
	form_hello(form, &b, &hello, 3000, "e.0.1");
	form_event(form, &b, &n, "e.0.2");
	form_comment(form, &b, "words");
	form_keepalive(form, &b, 7, "e.0.3");
	form_probe(form, &b, 8);
	form_farewell(form, &b, 4000, 9, NULL);
	at = text_of(&b);
	expect_text(&at, "{\"event\": \"connected\", \"message\": \"SSE connection established\", "
			 "\"keepalive\": 30, \"user\": \"7\", \"id\": \"e.0.1\", \"retry\": 3000}");
	expect_text(&at, "{\"event\": \"a.updated\", \"data\": {\"n\": 1}, \"scope\": \"enter\", "
			 "\"timestamp\": 7, \"id\": \"e.0.2\"}");
	expect_text(&at, "{\"event\": \"keepalive\", \"timestamp\": 7, \"id\": \"e.0.3\"}");
	expect_bytes(&at, "\x89\0\x89\0", 4);
	expect_text(&at, "{\"event\": \"system.farewell\", \"timestamp\": 9, \"retry\": 4000}");
	expect_bytes(&at, "\x88\x0f\x03\xf4", 4);
	expect_bytes(&at, "connect again", 13);
	assert_ptr_equal(at, buf_cstr(&b) + b.len);
	for (enum wire_end end = 0; end < N_ENDS; end++) {
		buf_clear(&b);
		form_break(form, &b, end, "why");
		assert_true(b.len > 4 && b.data[0] == '\x88' && (size_t)b.data[1] == b.len - 2);
	}
	buf_clear(&b); /* a dialect that says nothing there: the ping alone */
	form_keepalive(form_in(TRANSPORT_WEBSOCKET, DIALECT_RAW), &b, 7, NULL);
	at = text_of(&b);
	expect_bytes(&at, "\x89\0", 2);
	assert_ptr_equal(at, buf_cstr(&b) + b.len);
}

TEST(replies)
{
	static const char *const want[N_DIALECTS] = {
		[DIALECT_DJANGO] = "{\"event\": \"system.pong\", \"data\": {}, \"request_id\": "
				   "\"x\", \"timestamp\": 8}",
		[DIALECT_CHAT] = "{\"event_type\": \"herald.pong\", \"payload\": {}, "
				 "\"request_id\": \"x\"}",
		[DIALECT_RAW] =
			"{\"type\": \"herald.pong\", \"object\": {}, \"request_id\": \"x\"}",
		[DIALECT_STREAMING] =
			"{\"type\": \"pong\", \"content\": {}, \"request_id\": \"x\"}",
		[DIALECT_PLAIN] =
			"{\"type\": \"herald.pong\", \"data\": {}, \"request_id\": \"x\", "
			"\"ts\": 8}",
	};
	struct news n = {.type = "pong", .doc = "{}", .request_id = "\"x\"", .at = 8};

	for (enum wire_dialect d = 0; d < N_DIALECTS; d++) {
		uint32_t form = form_in(TRANSPORT_WEBSOCKET, d);
		autobuf b = {.max = 4096};
		const char *at;

		assert_non_null(want[d]);
		n.request_id = "\"x\"";
		form_reply(form, &b, &n);
		at = text_of(&b);
		expect_text(&at, want[d]);
		assert_ptr_equal(at, buf_cstr(&b) + b.len);
		n.request_id = NULL;
		form_reply(form, &b, &n);
		assert_null(strstr(at, "request_id"));
	}
}

/* A document with blanks of all kinds between its tokens, and escapes in its strings. */
static void random_document(struct rng *r, struct buf *b, unsigned depth)
{
	static const char *const blanks[] = {"", " ", "\n", "\r\n", "\t", "\n\n ", "\r"};
	static const char *const values[] = {
		"1", "\"a\\n\\r\\u2028\"", "null", "\"\xe2\x80\xa8\"", "\"\\\\\"", "-1.5e3"};

	buf_str(b, blanks[rng_below(r, 7)]);
	if (depth == 4 || rng_below(r, 3) == 0) {
		buf_str(b, values[rng_below(r, 6)]);
	} else {
		buf_char(b, '[');
		for (uint64_t n = rng_below(r, 4); n; n--) {
			random_document(r, b, depth + 1);
			buf_str(b, n > 1 ? "," : "");
		}
		buf_char(b, ']');
	}
	buf_str(b, blanks[rng_below(r, 7)]);
}

TEST(an_object_is_a_line)
{
	struct rng r = rng_new();

	for (int i = 0; i < 2000; i++) {
		autobuf doc = {.max = 1 << 16}, b = {.max = 1 << 16};
		struct json_object *line, *want, *data;
		struct news n = {.type = "a.b", .at = 1};

		random_document(&r, &doc, 0);
		n.doc = text_of(&doc);
		form_event(form_in(TRANSPORT_NDJSON, DIALECT_DJANGO), &b, &n, "e.0.1");
		assert_ptr_equal(strpbrk(text_of(&b), "\r\n"), text_of(&b) + b.len - 1);
		line = json_tokener_parse(text_of(&b));
		want = json_tokener_parse(text_of(&doc));
		assert_true(json_object_object_get_ex(line, "data", &data));
		assert_true(json_object_equal(data, want));
		assert_true(json_object_object_get_ex(line, "id", &data));
		assert_string_equal(json_object_get_string(data), "e.0.1");
		json_object_put(line);
		json_object_put(want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(transport_names),
		cmocka_unit_test(an_event_in_every_transport),
		cmocka_unit_test(numbers),
		cmocka_unit_test(what_cannot_be_carried),
		cmocka_unit_test(sse_says_little_beside_messages),
		cmocka_unit_test(ndjson_says_all_in_lines),
		cmocka_unit_test(poll),
		cmocka_unit_test(polls_are_documents),
		cmocka_unit_test(websocket),
		cmocka_unit_test(replies),
		cmocka_unit_test(an_object_is_a_line),
	};

	return cmocka_run_group_tests_name("form", tests, NULL, NULL);
}
