/* SPDX-License-Identifier: PostgreSQL
 * auth/forwarded: who the client is, and that he cannot say so himself. */
#include "config.h"
#include "unit.h"

#include "auth/forwarded.h"
#include "base/buf.h"

static struct forwarded_trust trust;

static int start(void **state)
{
	static char lan[] = "10.0.0.0/8", one[] = "192.0.2.1", six[] = "2001:db8::/48",
		    local[] = "unix:", *items[] = {lan, one, six, local};
	const char *bad = NULL;

	(void)state;
	assert_true(forwarded_trust_parse(&trust, items, 4, &bad));
	return 0;
}

static int stop(void **state)
{
	(void)state;
	forwarded_trust_free(&trust);
	return 0;
}

static struct address parse(const char *text)
{
	struct address a = {{0}};

	if (*text)
		assert_true(address_parse(&a, text, strlen(text)));
	return a;
}

/* `values` are lines of one header; "" is a Unix socket, or nobody. */
static void expect(enum forwarded_header kind, const char *peer, const char *first,
		   const char *second, const char *want)
{
	struct forwarded f = {0};
	struct address from = parse(peer), got, wanted = parse(want);

	if (first)
		forwarded_add(&f, kind, first);
	if (second)
		forwarded_add(&f, kind, second);
	got = forwarded_client(&f, &trust, &from);
	if (memcmp(&got, &wanted, sizeof(got)) != 0) {
		char text[ADDRESS_TEXT_MAX];

		address_text(&got, text);
		fail_msg("%s, %s, %s: %s", peer, first ? first : "-", second ? second : "-", text);
	}
}

static void x_for(const char *peer, const char *value, const char *want)
{
	expect(FORWARDED_X_FOR, peer, value, NULL, want);
}

static void rfc(const char *peer, const char *value, const char *want)
{
	expect(FORWARDED_RFC, peer, value, NULL, want);
}

TEST(who_is_not_listed_says_nothing)
{
	x_for("203.0.113.9", "198.51.100.1", "203.0.113.9");
	x_for("203.0.113.9", NULL, "203.0.113.9");
	rfc("2001:db9::1", "for=198.51.100.1", "2001:db9::1");
}

TEST(from_the_right_end)
{
	x_for("10.0.0.1", "198.51.100.1", "198.51.100.1");
	x_for("", "198.51.100.1", "198.51.100.1");
	/* What the client has written himself stands on the left. */
	x_for("10.0.0.1", "203.0.113.7, 198.51.100.1", "198.51.100.1");
	x_for("10.0.0.1", "10.0.0.2,198.51.100.1", "198.51.100.1");
	x_for("10.0.0.1", "rubbish, , 198.51.100.1", "198.51.100.1");
	/* A chain of listed proxies. */
	x_for("10.0.0.1", "203.0.113.7, 198.51.100.1, 192.0.2.1, 10.9.9.9", "198.51.100.1");
	expect(FORWARDED_X_FOR, "10.0.0.1", "203.0.113.7", "198.51.100.1", "198.51.100.1");
	expect(FORWARDED_X_FOR, "10.0.0.1", "198.51.100.1", "10.9.9.9", "198.51.100.1");
}

TEST(nobody_knows)
{
	x_for("10.0.0.1", NULL, "");
	x_for("10.0.0.1", "", "");
	x_for("10.0.0.1", "unknown", "");
	x_for("10.0.0.1", "198.51.100.1, unknown", "");
	x_for("10.0.0.1", "10.0.0.2, 10.0.0.3", ""); /* a proxy that asks for itself */
	x_for("10.0.0.1", "198.51.100.1, unknown, 10.0.0.3", "");
}

TEST(ports)
{
	x_for("10.0.0.1", "198.51.100.1:4711", "198.51.100.1");
	x_for("10.0.0.1", "[2001:db9::1]:4711", "2001:db9::1");
	x_for("10.0.0.1", "[2001:db9::1]", "2001:db9::1");
	x_for("10.0.0.1", "2001:db9::1", "2001:db9::1");
	x_for("10.0.0.1", "::ffff:198.51.100.1", "198.51.100.1");
	x_for("10.0.0.1", "[2001:db9::1]x", "");
	x_for("10.0.0.1", "[2001:db9::1", "");
}

TEST(rfc_7239)
{
	rfc("10.0.0.1", "for=198.51.100.1", "198.51.100.1");
	rfc("10.0.0.1", "For=\"198.51.100.1:4711\"", "198.51.100.1");
	rfc("10.0.0.1", "for=\"[2001:db9:cafe::17]:4711\"", "2001:db9:cafe::17");
	rfc("10.0.0.1", "for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60");
	rfc("10.0.0.1", "by=203.0.113.43 ; proto=http; for=192.0.2.60", "192.0.2.60");
	rfc("10.0.0.1", "for=192.0.2.43, for=198.51.100.17;by=10.0.0.1", "198.51.100.17");
	rfc("10.0.0.1", "for=192.0.2.43,for=10.0.0.7", "192.0.2.43");
	/* A comma, a semicolon or for= in quotes is none. */
	rfc("10.0.0.1", "for=198.51.100.1;by=\"x, for=203.0.113.7\"", "198.51.100.1");
	rfc("10.0.0.1", "for=198.51.100.1;by=\"x\\\", for=203.0.113.7\"", "198.51.100.1");
	rfc("10.0.0.1", "for=_hidden", "");
	rfc("10.0.0.1", "for=unknown", "");
	rfc("10.0.0.1", "for=198.51.100.1, proto=http", ""); /* the last one does not say */
	rfc("10.0.0.1", "for=198.51.100.1, for=\"203", "");
	rfc("10.0.0.1", "xfor=198.51.100.1", "");
	rfc("10.0.0.1", "198.51.100.1", "");
	expect(FORWARDED_RFC, "10.0.0.1", "for=203.0.113.7", "for=198.51.100.1", "198.51.100.1");
}

/* The proxy adds its element behind what the client has sent, in the same line. */
TEST(a_quote_that_is_left_open)
{
	rfc("10.0.0.1", "for=203.0.113.7;by=\", for=198.51.100.1", "198.51.100.1");
	rfc("10.0.0.1", "for=203.0.113.7;by=\"\\, for=198.51.100.1", "198.51.100.1");
	rfc("10.0.0.1", "for=203.0.113.7;by=\"x\\\", for=198.51.100.1", "198.51.100.1");
	rfc("10.0.0.1", "for=203.0.113.7;by=\", for=\"[2001:db9::1]:80\"", "2001:db9::1");
	rfc("10.0.0.1", "for=203.0.113.7;by=\"x, for=\"[2001:db9::1]\";proto=http", "2001:db9::1");
	rfc("10.0.0.1", "for=203.0.113.7;by=x\", for=198.51.100.1", "198.51.100.1");
	rfc("10.0.0.1", "for=203.0.113.7;\", for=198.51.100.1", "198.51.100.1");
	/* ... and what it says of the host is the client's, too. */
	rfc("10.0.0.1", "for=203.0.113.7;by=\", for=198.51.100.1;host=\";for=203.0.113.8\"",
	    "198.51.100.1");
	rfc("10.0.0.1", "for=203.0.113.7;by=\", for=198.51.100.1;host=\";for=203.0.113.8;x=\"",
	    "198.51.100.1");
	rfc("10.0.0.1", "for=203.0.113.7\"", "");
	rfc("10.0.0.1", "for=203.0.113.7;by=\"", "");
	rfc("10.0.0.1", "for=\"203.0.113.7\"x", "");
	rfc("10.0.0.1", "for=\"203.0.113.7\" ; proto=http", "203.0.113.7");
}

TEST(of_many_hops_the_right_ones_count)
{
	struct buf b;

	buf_init(&b, 100000);
	for (int i = 0; i < 1000; i++)
		buf_printf(&b, "10.0.%d.%d, ", i / 250, i % 250);
	buf_str(&b, "198.51.100.1");
	for (int i = 0; i < FORWARDED_MAX - 1; i++)
		buf_printf(&b, ", 10.1.0.%d", i);
	x_for("10.0.0.1", buf_cstr(&b), "198.51.100.1");
	buf_str(&b, ", 10.2.0.1");
	x_for("10.0.0.1", buf_cstr(&b), ""); /* one too many */
	buf_free(&b);
}

TEST(lists)
{
	static const char *const bad[] = {"proxy", "10.0.0.0/33", "10.0.0.1/8", "unix", "::", ""};
	struct forwarded_trust t;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		char good[] = "192.0.2.1", item[20], *items[] = {good, item};
		const char *which = NULL;

		snprintf(item, sizeof(item), "%s", bad[i]);
		assert_false(forwarded_trust_parse(&t, items, 2, &which));
		assert_ptr_equal(which, item);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_is_not_listed_says_nothing),
		cmocka_unit_test(from_the_right_end),
		cmocka_unit_test(nobody_knows),
		cmocka_unit_test(ports),
		cmocka_unit_test(rfc_7239),
		cmocka_unit_test(a_quote_that_is_left_open),
		cmocka_unit_test(of_many_hops_the_right_ones_count),
		cmocka_unit_test(lists),
	};

	return cmocka_run_group_tests_name("forwarded", tests, start, stop);
}
