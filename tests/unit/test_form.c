/* SPDX-License-Identifier: PostgreSQL
 * wire/form, wire/ndjson: the exact bytes of each form; and whatever an application's JSON looks
 * like, a line is an object. */
#include "config.h"
#include "unit.h"

#include <json-c/json.h>

#include "wire/form.h"
#include "wire/ndjson.h"

static const char *text_of(struct buf *b)
{
	assert_true(buf_ok(b));
	return buf_cstr(b);
}

TEST(names)
{
	for (enum wire_form form = 0; form < N_FORMS; form++) {
		assert_int_equal(form_find(form_name(form)), form);
		if (form_media(form))
			assert_memory_equal(form_type(form), form_media(form),
					    strlen(form_media(form)));
		assert_true(*form_title(form));
	}
	assert_int_equal(form_find(""), N_FORMS);
	assert_int_equal(form_find("SSE"), N_FORMS);
}

TEST(sse)
{
	autobuf b = {.max = 4096};

	form_hello(FORM_SSE, &b, NULL, 0, 3000, "e.0.1");
	assert_string_equal(text_of(&b),
			    "retry: 3000\ndata: {\"event\": \"connected\", \"message\": \"SSE "
			    "connection established\"}\nid: e.0.1\n\n");
	buf_clear(&b);
	form_event(FORM_SSE, &b, "a.updated", "{\n1}", NULL, 7, "e.0.2");
	assert_string_equal(text_of(&b), "data: {\"event\": \"a.updated\", \"data\": {\ndata: 1}, "
					 "\"timestamp\": 7}\nid: e.0.2\n\n");
	buf_clear(&b);
	form_keepalive(FORM_SSE, &b, 7, NULL);
	form_comment(FORM_SSE, &b, "words");
	form_probe(FORM_SSE, &b, 7);
	form_farewell(FORM_SSE, &b, 4000, 7, NULL);
	assert_string_equal(text_of(&b), "data: {\"event\": \"keepalive\", \"timestamp\": 7}\n\n"
					 ": words\n:\nretry: 4000\n");
}

TEST(ndjson)
{
	autobuf b = {.max = 4096};

	form_hello(FORM_NDJSON, &b, "7", 30, 3000, "e.0.1");
	form_event(FORM_NDJSON, &b, "a.updated", "{\"n\":\r\n1}", "enter", 7, "e.0.2");
	form_resync(FORM_NDJSON, &b, "loss", "[\"a\"]", 7, NULL);
	form_keepalive(FORM_NDJSON, &b, 7, "e.0.3");
	form_comment(FORM_NDJSON, &b, "words");
	form_probe(FORM_NDJSON, &b, 8);
	form_farewell(FORM_NDJSON, &b, 4000, 9, NULL);
	assert_string_equal(
		text_of(&b),
		"{\"event\": \"connected\", \"message\": \"SSE connection established\", "
		"\"keepalive\": 30, \"user\": \"7\", \"id\": \"e.0.1\", \"retry\": 3000}\n"
		"{\"event\": \"a.updated\", \"data\": {\"n\":  1}, \"scope\": \"enter\", "
		"\"timestamp\": 7, \"id\": \"e.0.2\"}\n"
		"{\"event\": \"system.resync\", \"data\": {\"reason\": \"loss\", \"topics\": "
		"[\"a\"]}, \"timestamp\": 7}\n"
		"{\"event\": \"keepalive\", \"timestamp\": 7, \"id\": \"e.0.3\"}\n"
		"{\"event\": \"keepalive\", \"timestamp\": 8}\n"
		"{\"event\": \"system.farewell\", \"timestamp\": 9, \"retry\": 4000}\n");
}

TEST(poll)
{
	autobuf b = {.max = 4096};

	assert_true(form_is_answer(FORM_POLL) && !form_is_answer(FORM_SSE));
	form_hello(FORM_POLL, &b, NULL, 0, 3000, "e.0.1");
	form_event(FORM_POLL, &b, "a.updated", "1", "leave", 7, "e.0.2");
	form_comment(FORM_POLL, &b, "words");
	form_probe(FORM_POLL, &b, 8);
	form_resync(FORM_POLL, &b, "loss", "[]", 7, NULL);
	form_farewell(FORM_POLL, &b, 0, 9, "e.0.3");
	assert_string_equal(
		text_of(&b),
		"{\"events\": [\n{\"event\": \"connected\", \"message\": \"SSE connection "
		"established\", \"id\": \"e.0.1\", \"retry\": 3000},\n"
		"{\"event\": \"a.updated\", \"data\": 1, \"scope\": \"leave\", \"timestamp\": 7, "
		"\"id\": \"e.0.2\"}\n,\n"
		"{\"event\": \"system.resync\", \"data\": {\"reason\": \"loss\", \"topics\": []}, "
		"\"timestamp\": 7}\n], \"last_event_id\": \"e.0.3\", \"retry\": 0}\n");
	buf_clear(&b);
	form_hello(FORM_POLL, &b, NULL, 0, 3000, "e.0.1");
	buf_str(&b, form_break(FORM_POLL));
	json_object_put(json_tokener_parse(text_of(&b)));
	assert_string_equal(form_break(FORM_NDJSON), "");
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

		random_document(&r, &doc, 0);
		form_event(FORM_NDJSON, &b, "a.b", text_of(&doc), NULL, 1, "e.0.1");
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
		cmocka_unit_test(names),
		cmocka_unit_test(sse),
		cmocka_unit_test(ndjson),
		cmocka_unit_test(poll),
		cmocka_unit_test(an_object_is_a_line),
	};

	return cmocka_run_group_tests_name("form", tests, NULL, NULL);
}
