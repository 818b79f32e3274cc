/* SPDX-License-Identifier: PostgreSQL
 * wire/posting: what of a posted body is a message. (tests/system/test_publish_http.py has what is
 * refused, and how.) */
#include "config.h"
#include "unit.h"

#include <string.h>

#include "wire/posting.h"

static const struct {
	bool broadcast;
	const char *body, *channel, *type, *payload, *key;
	bool persist;
} good[] = {
	{true, "{\"message\":{\"id\":\"a\",\"type\":\"t\",\"content\":1.00}}", "*", "t", "1.00",
	 "a", false},
	{false,
	 " {\"channel\":\"c\",\"message\":{\"id\":7,\"type\":\"t\",\"content\":null},"
	 "\"persist\":true} ",
	 "c", "t", "null", "7", true},
	{false, "{\"channel\":\"c\",\"event\":\"e\",\"data\":{\"a\" : [ ]},\"id\":null}", "c", "e",
	 "{\"a\" : [ ]}", NULL, false},
	{true, "{\"content\":\"x\",\"title\":\"\\u0414\"}", "*", "notification",
	 "{\"title\": \"\\u0414\", \"content\": \"x\", \"type\": \"info\"}", NULL, false},
	{true,
	 "{\"title\":\"t\",\"content\":\"\",\"type\":\"error\",\"auto_hide\":false,\"duration\":5,"
	 "\"id\":\"n\",\"persist\":true,\"more\":1}",
	 "*", "notification",
	 "{\"title\": \"t\", \"content\": \"\", \"type\": \"error\", \"auto_hide\": false, "
	 "\"duration\": 5}",
	 "n", true},
};

TEST(shapes)
{
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		autobuf why = {.max = 1000};
		struct posting m;

		assert_int_equal(posting_read(good[i].body, strlen(good[i].body), good[i].broadcast,
					      &m, &why),
				 0);
		assert_string_equal(m.channel, good[i].channel);
		assert_string_equal(m.type, good[i].type);
		assert_string_equal(m.payload, good[i].payload);
		if (good[i].key)
			assert_string_equal(m.key, good[i].key);
		else
			assert_null(m.key);
		assert_int_equal(m.persist, good[i].persist);
		posting_clear(&m);
		assert_null(m.payload);
	}
}

/* Each of them cut anywhere is no JSON, and the sentence names a place in it. */
TEST(cut_off)
{
	const char *body = good[4].body;

	for (size_t len = 0; len < strlen(body); len++) {
		autobuf why = {.max = 1000};
		struct posting m;
		unsigned place;

		assert_int_equal(posting_read(body, len, true, &m, &why), 400);
		assert_int_equal(
			sscanf(buf_cstr(&why), "The body is no JSON: see byte %u.", &place), 1);
		assert_true(place <= len);
		posting_clear(&m);
	}
}

/* Nobody named is everybody only where that was meant. */
TEST(said)
{
	static const struct {
		enum posting_to to;
		const char *data, *channel, *user, *type;
	} them[] = {
		{POSTING_TO_CHANNEL, "{\"channel\":\"c\",\"content\":1}", "c", NULL, "text"},
		{POSTING_TO_CHANNEL, "{\"content\":1}", NULL, NULL, NULL},
		{POSTING_TO_CHANNEL, "{\"user_id\":\"u\",\"content\":1}", NULL, NULL, NULL},
		{POSTING_TO_USER, "{\"user_id\":7,\"content\":1,\"type\":\"t\"}", NULL, "7", "t"},
		{POSTING_TO_USER, "{\"content\":1}", NULL, NULL, NULL},
		{POSTING_TO_ANY, "{\"user_id\":\"u\",\"content\":1}", NULL, "u", "text"},
		{POSTING_TO_ANY, "{\"channel\":\"c\",\"content\":1}", "c", NULL, "text"},
		{POSTING_TO_ANY, "{\"content\":1}", "*", NULL, "text"},
		{POSTING_TO_ANY, "{\"channel\":null,\"content\":1}", NULL, NULL, NULL},
		{POSTING_TO_ANY, "[1]", NULL, NULL, NULL},
	};

	for (size_t i = 0; i < sizeof(them) / sizeof(*them); i++) {
		autobuf why = {.max = 1000};
		struct scan data;
		struct posting m;
		unsigned status;

		assert_true(scan_text(them[i].data, strlen(them[i].data), &data));
		status = posting_read_said(data, them[i].to, "text", &m, &why);
		assert_int_equal(status, them[i].type ? 0 : 422);
		if (!status) {
			assert_string_equal(m.channel ? m.channel : "-",
					    them[i].channel ? them[i].channel : "-");
			assert_string_equal(m.user ? m.user : "-",
					    them[i].user ? them[i].user : "-");
			assert_string_equal(m.type, them[i].type);
			assert_true(posting_bytes(&m) > strlen(m.type));
		}
		posting_clear(&m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shapes),
		cmocka_unit_test(cut_off),
		cmocka_unit_test(said),
	};

	return cmocka_run_group_tests_name("posting", tests, NULL, NULL);
}
