/* SPDX-License-Identifier: PostgreSQL
 * auth/origin: whose pages may come in by cookie. */
#include "config.h"
#include "unit.h"

#include "auth/origin.h"

static char app[] = "https://app.example.org", star[] = "*";
static char *const list[] = {star, app};

TEST(listed)
{
	assert_true(origin_listed("https://app.example.org", list, 2));
	assert_false(origin_listed("https://app.example.org", list, 0));
	assert_false(origin_listed("http://app.example.org", list, 2));
	assert_false(origin_listed("https://app.example.org.evil.example", list, 2));
	assert_false(origin_listed("https://evil.example", list, 2)); /* "*" is nobody */
	assert_false(origin_listed("*", list, 2));
	assert_false(origin_listed("null", list, 2));
	assert_false(origin_listed("", list, 2));
}

TEST(by_cookie)
{
	static const struct {
		const char *origin, *host, *site;
		bool allowed;
	} cases[] = {
		/* no browser, or one that says nothing */
		{NULL, "shop.example", NULL, true},
		{NULL, NULL, NULL, true},
		/* its own page; typed into the address bar */
		{NULL, "shop.example", "same-origin", true},
		{NULL, "shop.example", "none", true},
		{"https://shop.example", "shop.example", "same-origin", true},
		{"http://shop.example:8080", "shop.example:8080", NULL, true},
		{"https://Shop.Example", "shop.example", NULL, true},
		{"http://[::1]:8080", "[::1]:8080", NULL, true},
		/* listed */
		{"https://app.example.org", "shop.example", "cross-site", true},
		/* an <img> elsewhere, also on a sibling domain */
		{NULL, "shop.example", "cross-site", false},
		{NULL, "shop.example", "same-site", false},
		{NULL, "shop.example", "", false},
		/* its name, but over HTTP without TLS: whoever is on the way can make that page */
		{"http://shop.example", "shop.example", "cross-site", false},
		/* scripts elsewhere */
		{"https://evil.example", "shop.example", NULL, false},
		{"https://evil.example", "shop.example", "same-origin", false},
		{"https://shop.example.evil.example", "shop.example", NULL, false},
		{"https://evilshop.example", "shop.example", NULL, false},
		{"https://shop.example:8443", "shop.example", NULL, false},
		{"https://evil.example/://shop.example", "shop.example", NULL, false},
		{"null", "shop.example", NULL, false},
		{"null", "null", NULL, false},
		{"", "", NULL, false},
		{"http://", "", NULL, false},
		{"https://shop.example", NULL, NULL, false},
		{"*", "shop.example", NULL, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		if (origin_may_use_cookie(cases[i].origin, cases[i].host, cases[i].site, list, 2) !=
		    cases[i].allowed)
			fail_msg("origin %s, host %s, Sec-Fetch-Site %s", cases[i].origin,
				 cases[i].host, cases[i].site);
}

TEST(spellings)
{
	static const char *const good[] = {
		"*",
		"https://app.example.org",
		"http://127.0.0.1:8000",
		"http://localhost",
		"https://[2001:db8::1]:8443",
		"https://xn--bcher-kva.example",
		"capacitor://localhost",
		"chrome-extension://abcdefghijklmnop",
		"http://a_b.example:443",
	};
	static const char *const bad[] = {
		"",
		"null", /* every sandboxed page, of whomever */
		"app.example.org",
		"//app.example.org",
		"://x",
		"https://",
		"https://:8443",
		"https://app.example.org/",
		"https://app.example.org/path",
		"https://app.example.org?x",
		"https://anna@app.example.org",
		"https://App.example.org",
		"HTTPS://app.example.org",
		"https://*.example.org",
		"https://app.example.org:",
		"https://app.example.org:0",
		"https://app.example.org:08443",
		"https://app.example.org:99999",
		"https://app.example.org:443",
		"http://app.example.org:80",
		("https://b\xc3\xbc"
		 "cher.example"),
		"https://a b",
		"https://[2001:DB8::1]",
		"https://[::1",
		"https://::1",
	};

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		assert_null(origin_complaint(good[i]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (!origin_complaint(bad[i]))
			fail_msg("%s", bad[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(listed),
		cmocka_unit_test(by_cookie),
		cmocka_unit_test(spellings),
	};

	return cmocka_run_group_tests_name("origin", tests, NULL, NULL);
}
