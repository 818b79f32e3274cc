/* SPDX-License-Identifier: PostgreSQL
 * wire/negotiate: what real clients send, and what the standard allows. */
#include "config.h"
#include "unit.h"

#include "wire/negotiate.h"

#define SSE "text/event-stream"

TEST(accept)
{
	static const char *const yes[] = {
		"",
		" ",
		"*/*",
		SSE,
		"TEXT/Event-Stream",
		"text/*",
		"text/event-stream;q=0.1",
		"text/event-stream; charset=utf-8",
		"application/json, text/event-stream",
		"application/json, text/plain, */*",				   /* axios */
		"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", /* a browser's
										      address bar */
		"text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2",		   /* Java */
		"*/*;q=0, text/event-stream",
		"text/*;q=0, text/event-stream;q=0.001",
		"application/json;x=\"a,b;q=0\", */*",
		", ,*/*",
	};
	static const char *const no[] = {
		"application/json",
		"text/event-stream;q=0",
		"text/event-stream; q=0.000",
		"*/*, text/event-stream;q=0",
		"text/*, text/event-stream;q=0.0",
		"*/*;q=0",
		"text/event-streams",
		"text/event",
		"text/",
		"text",
		"*",
		"x, text/html;q=1",
		"application/json;x=\", text/event-stream\"",
	};

	for (size_t i = 0; i < sizeof(yes) / sizeof(*yes); i++)
		if (!negotiate_accepts(yes[i], SSE))
			fail_msg("refused: %s", yes[i]);
	for (size_t i = 0; i < sizeof(no) / sizeof(*no); i++)
		if (negotiate_accepts(no[i], SSE))
			fail_msg("accepted: %s", no[i]);
}

TEST(named)
{
	assert_true(negotiate_names("text/event-stream", SSE));
	assert_true(negotiate_names("application/json, text/event-stream;q=0.5", SSE));
	assert_false(negotiate_names("*/*", SSE));
	assert_false(negotiate_names("text/*", SSE));
	assert_false(negotiate_names("", SSE));
	assert_false(negotiate_names("text/event-stream;q=0", SSE));
}

TEST(lists)
{
	assert_true(negotiate_lists("keep-alive, Upgrade", "upgrade"));
	assert_true(negotiate_lists(",upgrade ,", "upgrade"));
	assert_false(negotiate_lists("", "upgrade"));
	assert_false(negotiate_lists("upgraded, up, \"upgrade\"", "upgrade"));
}

TEST(upgrade)
{
	assert_false(negotiate_upgrades(""));
	assert_false(negotiate_upgrades("h2c")); /* Java's client, curl --http2 */
	assert_false(negotiate_upgrades("h2,h2c"));
	assert_false(negotiate_upgrades("HTTP/2.0, TLS/1.0"));
	assert_true(negotiate_upgrades("websocket"));
	assert_true(negotiate_upgrades("WebSocket"));
	assert_true(negotiate_upgrades("h2c, websocket"));
	assert_true(negotiate_upgrades("SPDY/3.1"));
	assert_true(negotiate_upgrades("h2cx"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accept),
		cmocka_unit_test(named),
		cmocka_unit_test(lists),
		cmocka_unit_test(upgrade),
	};

	return cmocka_run_group_tests_name("negotiate", tests, NULL, NULL);
}
