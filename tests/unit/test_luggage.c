/* SPDX-License-Identifier: PostgreSQL
 * web/luggage: what is written reads back the same, and nothing else is read. */
#include "config.h"
#include "unit.h"

#include <string.h>

#include "web/luggage.h"

static const struct luggage some[] = {
	{1,
	 "token",
	 "7",
	 "events",
	 "drf",
	 "0a9zqwer.0.rx",
	 "127.0.0.1:9",
	 "a.*,b",
	 "",
	 "c,d",
	 "staff",
	 "=x,y*",
	 "192.0.2.1",
	 123,
	 30,
	 5,
	 4,
	 UINT64_MAX,
	 1 << 29,
	 true,
	 false,
	 true},
	{UINT64_MAX, "", "Привет\n", "x", "d", "", "local", "", "t",   "",   "",
	 "",	     "", 0,	     0,	  0,   0,  0,	    0,	false, true, false},
};

static void write_all(struct buf *b)
{
	buf_init(b, 10000);
	luggage_begin(b);
	for (size_t i = 0; i < 2; i++)
		luggage_add(b, &some[i]);
	luggage_end(b);
}

TEST(reads_back)
{
	struct luggage *got;
	autobuf b = {0};
	size_t n;

	write_all(&b);
	assert_true(luggage_read(b.data, b.len, &got, &n));
	assert_int_equal(n, 2);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(got[i].socket, some[i].socket);
		assert_string_equal(got[i].token, some[i].token);
		assert_string_equal(got[i].user, some[i].user);
		assert_string_equal(got[i].route, some[i].route);
		assert_string_equal(got[i].door, some[i].door);
		assert_string_equal(got[i].position, some[i].position);
		assert_string_equal(got[i].peer, some[i].peer);
		assert_string_equal(got[i].types, some[i].types);
		assert_string_equal(got[i].topics, some[i].topics);
		assert_string_equal(got[i].channels, some[i].channels);
		assert_string_equal(got[i].role, some[i].role);
		assert_string_equal(got[i].granted, some[i].granted);
		assert_string_equal(got[i].from, some[i].from);
		assert_int_equal(got[i].opened_ms, some[i].opened_ms);
		assert_int_equal(got[i].keepalive_s, some[i].keepalive_s);
		assert_int_equal(got[i].silent_s, some[i].silent_s);
		assert_int_equal(got[i].n_events, some[i].n_events);
		assert_int_equal(got[i].n_bytes, some[i].n_bytes);
		assert_int_equal(got[i].form, some[i].form);
		assert_int_equal(got[i].who_am_i, some[i].who_am_i);
		assert_int_equal(got[i].no_types, some[i].no_types);
		assert_int_equal(got[i].no_topics, some[i].no_topics);
	}
	free(got);
}

TEST(nobody)
{
	struct luggage *got;
	autobuf b = {0};
	size_t n;

	buf_init(&b, 100);
	luggage_begin(&b);
	luggage_end(&b);
	assert_true(luggage_read(b.data, b.len, &got, &n));
	assert_int_equal(n, 0);
	free(got);
}

/* Cut anywhere, longer than it should be, with any byte changed: never more than is there. */
TEST(what_is_not_whole)
{
	struct luggage *got;
	autobuf b = {0};
	size_t n;

	write_all(&b);
	for (size_t len = 0; len < b.len; len++) {
		autofree char *cut = xstrndup("", 0);

		cut = xrealloc(cut, len + 1, 1); /* for AddressSanitizer: not a byte more */
		memcpy(cut, b.data, len);
		assert_false(luggage_read(cut, len, &got, &n));
		assert_null(got);
	}
	buf_char(&b, '\0');
	assert_false(luggage_read(b.data, b.len, &got, &n));
	b.data[strlen("pgherald streams 4") - 1] = '2'; /* another version's */
	assert_false(luggage_read(b.data, b.len - 1, &got, &n));
	for (size_t i = 0; i < b.len; i++) {
		char was = b.data[i];

		b.data[i] = (char)0xff;
		(void)!luggage_read(b.data, b.len - 1, &got, &n);
		free(got);
		b.data[i] = was;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_back),
		cmocka_unit_test(nobody),
		cmocka_unit_test(what_is_not_whole),
	};

	return cmocka_run_group_tests_name("luggage", tests, NULL, NULL);
}
