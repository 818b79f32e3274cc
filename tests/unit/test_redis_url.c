/* SPDX-License-Identifier: PostgreSQL
 * wire/redis_url: what the URLs say, and that nothing of a wrong one is quoted. */
#include "config.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "wire/redis_url.h"

static void expect(const char *text, const char *want)
{
	struct redis_url u;
	char is[1200];
	const char *why = redis_url_parse(&u, text);

	if (!want) {
		assert_non_null(why);
		return;
	}
	assert_null(why);
	snprintf(is, sizeof(is), "%s %s %s %s %s %u", u.tls ? "tls" : "tcp", u.user, u.password,
		 u.host, u.port, u.database);
	assert_string_equal(is, want);
}

TEST(what_is_one)
{
	expect("redis://localhost", "tcp   localhost 6379 0");
	expect("redis://localhost:6379/", "tcp   localhost 6379 0");
	expect("valkeys://h:1/15", "tls   h 1 15");
	expect("rediss://u@h", "tls u  h 6379 0");
	expect("redis://:p%40%3a%2F@h", "tcp  p@:/ h 6379 0");
	expect("redis://u:p@w@h", "tcp u p@w h 6379 0");
	expect("valkey://[::1]:7/2", "tcp   ::1 7 2");
	expect("redis://[fe80::1]", "tcp   fe80::1 6379 0");
}

TEST(what_is_none)
{
	static const char *const none[] = {
		"",
		"redis:/h",
		"http://h",
		"redis://",
		"redis:///1",
		"redis://:6379",
		"redis://h:",
		"redis://h:0",
		"redis://h:65536",
		"redis://h:x",
		"redis://h/x",
		"redis://h/1/2",
		"redis://h?a",
		"redis://h#a",
		"redis://a b",
		"redis://%@h",
		"redis://%4@h",
		"redis://%00@h",
		"redis://%zz@h",
		"redis://[::1",
		"redis://[]",
		"redis://[::1]x",
		"redis://h/65536",
	};
	char long_host[400] = "redis://";

	for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++)
		expect(none[i], NULL);
	memset(long_host + 8, 'h', 300);
	expect(long_host, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_one),
		cmocka_unit_test(what_is_none),
	};

	return cmocka_run_group_tests_name("redis_url", tests, NULL, NULL);
}
