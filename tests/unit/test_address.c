/* SPDX-License-Identifier: PostgreSQL
 * base/address: texts, ranges, and which addresses are one client. */
#include "config.h"
#include "unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include "base/address.h"

static struct address parse(const char *text)
{
	struct address a = {{0}};

	if (!address_parse(&a, text, strlen(text)))
		fail_msg("%s", text);
	return a;
}

static void expect_text(struct address a, const char *want)
{
	char text[ADDRESS_TEXT_MAX];

	address_text(&a, text);
	assert_string_equal(text, want);
}

TEST(texts)
{
	static const char *const bad[] = {"",
					  " 1.2.3.4",
					  "1.2.3",
					  "1.2.3.4.5",
					  "1.2.3.256",
					  "1.2.3.4:5",
					  "[::1]",
					  "::1%lo",
					  "::",
					  "unknown",
					  "_x",
					  "0x7f.1",
					  "1:2:3:4:5:6:7:8:9"};
	struct address a;

	expect_text(parse("192.0.2.1"), "192.0.2.1");
	expect_text(parse("2001:DB8:0::1"), "2001:db8::1");
	expect_text(parse("::ffff:192.0.2.1"), "192.0.2.1"); /* the same client */
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (address_parse(&a, bad[i], strlen(bad[i])))
			fail_msg("%s", bad[i]);
	assert_true(address_parse(&a, "192.0.2.1, x", 9));
	assert_false(address_parse(&a, "1.2.3.4\0", 8));
}

TEST(of_sockets)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0xc0000201)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct address none = address_of((struct sockaddr *)&un);

	expect_text(address_of((struct sockaddr *)&v4), "192.0.2.1");
	expect_text(address_of((struct sockaddr *)&v6), "::1");
	assert_true(address_is_none(&none));
}

static bool loopback(const char *text)
{
	struct address a = parse(text);

	return address_is_loopback(&a);
}

static void expect_block(const char *text, const char *want)
{
	struct address a = parse(text);

	expect_text(address_block(&a), want);
}

TEST(kinds)
{
	assert_true(loopback("127.0.0.1"));
	assert_true(loopback("127.9.9.9"));
	assert_true(loopback("::1"));
	assert_false(loopback("128.0.0.1"));
	assert_false(loopback("::2"));
	assert_false(loopback("7f00::1"));
	expect_block("192.0.2.7", "192.0.2.7");
	expect_block("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::");
	expect_block("2001:db8:1:2:ffff::", "2001:db8:1:2::");
}

static bool in(const char *range, const char *text)
{
	struct address a = parse(text);
	struct address_range r;

	if (!address_range_parse(&r, range))
		fail_msg("%s", range);
	return address_in_range(&a, &r);
}

TEST(ranges)
{
	static const char *const bad[] = {
		"10.0.0.0/33", "10.0.0.1/8", "::1/129", "::1/64", "10.0.0.0/",
		"10.0.0.0/-1", "/8",	     "x",	"",	  "::"};
	struct address_range r;

	assert_true(in("10.0.0.0/8", "10.255.0.1"));
	assert_false(in("10.0.0.0/8", "11.0.0.1"));
	assert_false(in("10.0.0.0/8", "a00::1")); /* the same first byte */
	assert_true(in("10.0.0.128/25", "10.0.0.200"));
	assert_false(in("10.0.0.128/25", "10.0.0.127"));
	assert_true(in("192.0.2.1", "192.0.2.1"));
	assert_true(in("192.0.2.1", "::ffff:192.0.2.1"));
	assert_false(in("192.0.2.1", "192.0.2.2"));
	assert_true(in("0.0.0.0/0", "192.0.2.2"));
	assert_false(in("0.0.0.0/0", "2001:db8::1"));
	assert_true(in("2001:db8::/33", "2001:db8:7fff::1"));
	assert_false(in("2001:db8::/33", "2001:db8:8000::1"));
	assert_true(in("::/0", "2001:db8:8000::1"));
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (address_range_parse(&r, bad[i]))
			fail_msg("%s", bad[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts),
		cmocka_unit_test(of_sockets),
		cmocka_unit_test(kinds),
		cmocka_unit_test(ranges),
	};

	return cmocka_run_group_tests_name("address", tests, NULL, NULL);
}
