/* SPDX-License-Identifier: PostgreSQL
 * wire/head: what is refused and why, and that it does not matter in which pieces it comes. */
#include "config.h"
#include "unit.h"

#include "wire/head.h"

#define HOST "Host: t\r\n"
#define GET  "GET / HTTP/1.1\r\n"

static const struct {
	const char *bytes;
	unsigned status; /* 0 = OK, 1 = not complete */
	const char *why; /* a piece of it */
} cases[] = {
	{GET HOST "\r\n", 0, ""},
	{"\r\n" GET HOST "\r\n", 0, ""},
	{"GET / HTTP/1.0\r\n\r\n", 0, ""},
	{"GET / HTTP/1.0\r\n" HOST "\r\n", 0, ""},
	{"GET / HTTP/1.2\r\n" HOST "\r\n", 0, ""}, /* RFC 9110 section 2.5 */
	{"HEAD /x?y=%41 HTTP/1.1\r\n" HOST "\r\n", 0, ""},
	{"OPTIONS * HTTP/1.1\r\n" HOST "\r\n", 0, ""},
	{"GET http://t/x HTTP/1.1\r\n" HOST "\r\n", 0, ""},
	{"GET HTTPS://T?x HTTP/1.1\r\n" HOST "\r\n", 0, ""},
	{GET "Host:\r\n\r\n", 0, ""},
	{GET "Host: [::1]:8080 \t\r\n\r\n", 0, ""},
	{GET HOST "X: \xff\xfe \t y\r\nY:\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\r\n", 0,
	 ""},
	{GET HOST "\r\nGET / HTTP/1.1\r\n\r\n", 0, ""}, /* what follows is another matter */
	/* not yet */
	{"", 1, ""},
	{"\r", 1, ""},
	{"\r\n", 1, ""},
	{"GET / HTTP/1.1\r\nHos", 1, ""},
	{GET HOST, 1, ""},
	{GET HOST "\r", 1, ""},
	/* the request line */
	{"\r\n\r\n", 400, "request line"},
	{"\r\n\r\n" GET HOST "\r\n", 400, "request line"},
	{"\x16\x03\x01\x02", 400, "request line"}, /* TLS */
	{"rubbish\r\n\r\n", 400, "request line"},
	{"GET /\r\n\r\n", 400, "request line"}, /* HTTP/0.9 */
	{"GET  / HTTP/1.1\r\n", 400, "request line"},
	{"GET /  HTTP/1.1\r\n", 400, "request line"},
	{"GET / HTTP/1.1 \r\n", 400, "request line"},
	{"GET /a b HTTP/1.1\r\n", 400, "request line"},
	{" GET / HTTP/1.1\r\n", 400, "request line"},
	{"GET\t/ HTTP/1.1\r\n", 400, "request line"},
	{"GET / http/1.1\r\n", 400, "request line"},
	{"GET / HTTP/1.10\r\n", 400, "request line"},
	{"GET / HTTP/1\r\n", 400, "request line"},
	{"G(T / HTTP/1.1\r\n", 400, "request line"},
	{"PRI * HTTP/2.0\r\n", 505, "HTTP/1.1"},
	{"GET / HTTP/0.9\r\n", 505, "HTTP/1.1"},
	{"GET / HTTP/9.9\r\n", 505, "HTTP/1.1"},
	{"GET x HTTP/1.1\r\n", 400, "must begin with /"},
	{"GET ftp://t/ HTTP/1.1\r\n", 400, "must begin with /"},
	{"GET /\x01 HTTP/1.1\r\n", 400, "must be escaped"},
	{"GET /\x80 HTTP/1.1\r\n", 400, "must be escaped"},
	{"GET /#x HTTP/1.1\r\n", 400, "must be escaped"},
	{"GET /%00 HTTP/1.1\r\n", 400, "escaped NUL"},
	{"GET /?token=good%00bad HTTP/1.1\r\n", 400, "escaped NUL"},
	{"GET /% HTTP/1.1\r\n", 400, "hexadecimal"},
	{"GET /%4 HTTP/1.1\r\n", 400, "hexadecimal"},
	{"GET /%4x HTTP/1.1\r\n", 400, "hexadecimal"},
	{"GET http://t/x HTTP/1.1\r\nHost: u\r\n\r\n", 400, "two hosts"},
	{"GET http://t.u/ HTTP/1.1\r\n" HOST "\r\n", 400, "two hosts"},
	{"GET http://x@t/ HTTP/1.1\r\n" HOST "\r\n", 400, "two hosts"},
	{"GET http:// HTTP/1.1\r\n" HOST "\r\n", 400, "two hosts"},
	/* lines */
	{"GET / HTTP/1.1\n", 400, "carriage return"},
	{GET "Host: t\n\n", 400, "carriage return"},
	{GET HOST "\n", 400, "carriage return"},
	{"\n", 400, "carriage return"},
	{GET HOST "X: a\rb\r\n\r\n", 400, "control character"},
	{GET HOST "X: a\r\r\n\r\n", 400, "control character"},
	{GET HOST "X: a\x7f\r\n\r\n", 400, "control character"},
	{GET HOST "X: a\r\n b\r\n\r\n", 400, "folded"},
	{GET HOST "X: a\r\n\tb\r\n\r\n", 400, "folded"},
	{GET " " HOST "\r\n", 400, "folded"},
	{GET "Host : t\r\n\r\n", 400, "before the colon"},
	{GET HOST "X\t: t\r\n\r\n", 400, "before the colon"},
	{GET HOST ": t\r\n\r\n", 400, "no header"},
	{GET HOST "X\r\n\r\n", 400, "no header"},
	{GET HOST "X(: t\r\n\r\n", 400, "no header"},
	{GET HOST "\xc3\xa9: t\r\n\r\n", 400, "no header"},
	/* hosts */
	{GET "\r\n", 400, "no Host"},
	{GET HOST HOST "\r\n", 400, "two Host"},
	{GET HOST "hOST: u\r\n\r\n", 400, "two Host"},
	{"GET / HTTP/1.0\r\n" HOST HOST "\r\n", 400, "two Host"},
	{GET "Host: t u\r\n\r\n", 400, "is no host"},
	{GET "Host: t/u\r\n\r\n", 400, "is no host"},
	{GET "Host: t@u\r\n\r\n", 400, "is no host"},
	{GET "Host: \xff\r\n\r\n", 400, "is no host"},
	{GET "Host: t#u\r\n\r\n", 400, "is no host"},
	{GET "Host: t,u\r\n\r\n", 400, "is no host"},
	{GET "Host: t|u\r\n\r\n", 400, "is no host"},
	{GET "Host: t:8x\r\n\r\n", 400, "is no host"},
	{GET "Host: t:8:8\r\n\r\n", 400, "is no host"},
	{GET "Host: [::1\r\n\r\n", 400, "is no host"},
	{GET "Host: [::1]x\r\n\r\n", 400, "is no host"},
	{GET "Host: [t[]\r\n\r\n", 400, "is no host"},
	{GET "Host: ::1\r\n\r\n", 400, "is no host"},
	{GET "Host: t_1.example-2.:8443\r\n\r\n", 0, ""},
	{GET "Host: [2001:db8::192.0.2.1]:80\r\n\r\n", 0, ""},
	{GET "Host: [fe80::1%25eth0]\r\n\r\n", 0, ""},
	{GET "Host: t:\r\n\r\n", 0, ""},
	/* to libmicrohttpd that has -1 bytes */
	{GET HOST "Cookie: a=\"\r\n\r\n", 400, "half a quote"},
	{GET HOST "Cookie: b=c; a=\" \r\n\r\n", 400, "half a quote"},
	{GET HOST "Cookie: b=c,=\"\r\n\r\n", 400, "half a quote"},
	{GET HOST "Cookie: a=\"x=\"\r\n\r\n", 0, ""},
	{GET HOST "Cookie: a=\"\"; b=\"\"\r\n\r\n", 0, ""},
	{GET HOST "Cookie: \"\r\n\r\n", 0, ""},
	/* libmicrohttpd does not take them off, and would refuse it in its own words */
	{GET HOST "Content-Length: 0 \r\n\r\n", 400, "no number"},
	{GET HOST "Content-Length:\t0\t\r\n\r\n", 400, "no number"},
	/* bodies and where they end */
	{GET HOST "Content-Length: 1\r\n\r\n", 413, "body"},
	{GET HOST "Transfer-Encoding: chunked\r\n\r\n", 413, "body"},
	{"POST / HTTP/1.1\r\n" HOST "Content-Length: 104857600\r\n\r\n", 413, "body"},
	{"PUT / HTTP/1.1\r\n" HOST "\r\n", 405, "Method"},
	{"post / HTTP/1.1\r\n" HOST "\r\n", 405, "Method"},
	{"get / HTTP/1.1\r\n" HOST "\r\n", 405, "Method"},
	{"CONNECT t:80 HTTP/1.1\r\n" HOST "\r\n", 405, "Method"},
	{GET HOST "Content-Length: 0\r\nContent-Length: 0\r\n\r\n", 400, "two Content-Length"},
	{GET HOST "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", 400, "two Content-Length"},
	{GET HOST "Content-Length: 5, 5\r\n\r\n", 400, "no number"},
	{GET HOST "Content-Length: +5\r\n\r\n", 400, "no number"},
	{GET HOST "Content-Length: 0x5\r\n\r\n", 400, "no number"},
	{GET HOST "Content-Length: -1\r\n\r\n", 400, "no number"},
	{GET HOST "Content-Length:\r\n\r\n", 400, "no number"},
	{GET HOST "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "both"},
	{GET HOST "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", 400, "both"},
	{GET HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400,
	 "two Tr"},
	{GET HOST "Transfer-Encoding: gzip, chunked\r\n\r\n", 501, "chunked"},
	{GET HOST "Transfer-Encoding: xchunked\r\n\r\n", 501, "chunked"},
	{GET HOST "Transfer-Encoding: identity\r\n\r\n", 501, "chunked"},
	{"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "HTTP/1.0"},
	{GET HOST "Expect: 200-ok\r\n\r\n", 417, "expectation"},
	/* credentials */
	{GET HOST "Authorization: Token a\r\nAuthorization: Token b\r\n\r\n", 400, "two Auth"},
	{GET HOST "Cookie: a=b\r\nCookie: c=d\r\n\r\n", 400, "two Cookie"},
	{GET HOST "Origin: https://a\r\nOrigin: https://b\r\n\r\n", 400, "two Origin"},
	{GET HOST "Origin: https://a\xff\r\n\r\n", 400, "Origin"},
	{GET HOST "Last-Event-ID: 1\r\nLast-Event-Id: 2\r\n\r\n", 400, "two Last"},
};

static void expect(struct head *h, const char *name, unsigned status, const char *why)
{
	if (h->verdict == HEAD_BAD ? h->status != status || !strstr(h->why, why)
				   : status != (h->verdict == HEAD_PART))
		fail_msg("%s: verdict %d, %u %s", name, (int)h->verdict, h->status,
			 h->why ? h->why : "");
}

TEST(verdicts)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct head h = {0};

		(void)head_check(&h, cases[i].bytes, strlen(cases[i].bytes));
		expect(&h, cases[i].bytes, cases[i].status, cases[i].why);
	}
}

TEST(byte_by_byte)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct head h = {0};
		size_t len = strlen(cases[i].bytes);

		for (size_t n = 0; n <= len; n++)
			(void)head_check(&h, cases[i].bytes, n);
		expect(&h, cases[i].bytes, cases[i].status, cases[i].why);
	}
}

/* A NUL, which no case above can have. */
TEST(a_nul)
{
	static const char target[] = "GET /\0x HTTP/1.1\r\n", value[] = GET HOST "X: a\0b\r\n\r\n";
	struct head h = {0}, g = {0};

	assert_int_equal(head_check(&h, target, sizeof(target) - 1), HEAD_BAD);
	assert_int_equal(head_check(&g, value, sizeof(value) - 1), HEAD_BAD);
}

TEST(where_things_stand)
{
	static const char text[] = "\r\nGET /x?y HTTP/1.1\r\nhost:  t.example \r\n"
				   "ORIGIN:\thttps://a.example\r\n\r\nmore";
	struct head h = {0};

	assert_int_equal(head_check(&h, text, sizeof(text) - 1), HEAD_OK);
	assert_int_equal(h.len, sizeof(text) - 1 - 4);
	assert_memory_equal(text + h.target, "/x?y ", 5);
	assert_int_equal(h.target_len, 4);
	assert_memory_equal(text + h.host, "t.example", h.host_len);
	assert_int_equal(h.host_len, 9);
	assert_memory_equal(text + h.origin, "https://a.example", h.origin_len);
	assert_int_equal(h.origin_len, 17);
	assert_false(h.http10);
}

static size_t fill(char *out, const char *before, char c, size_t n, const char *after)
{
	size_t len = strlen(before);

	memcpy(out, before, len);
	memset(out + len, c, n);
	memcpy(out + len + n, after, strlen(after));
	return len + n + strlen(after);
}

TEST(limits)
{
	static const char end[] = "\r\n\r\n", rest[] = " HTTP/1.1\r\n" HOST "\r\n";
	static char text[HEAD_MAX + 100];
	struct head h = {0};
	size_t len = fill(text, GET HOST "X: ", 'y', HEAD_MAX - strlen(GET HOST "X: ") - 4, end);

	assert_int_equal(len, HEAD_MAX);
	assert_int_equal(head_check(&h, text, len), HEAD_OK);
	h = (struct head){0};
	len = fill(text, GET HOST "X: ", 'y', HEAD_MAX - strlen(GET HOST "X: ") - 3, end);
	assert_int_equal(head_check(&h, text, len), HEAD_BAD);
	assert_int_equal(h.status, 431);
	h = (struct head){0};
	len = fill(text, "GET /", 'x', HEAD_TARGET - 1, rest);
	assert_int_equal(head_check(&h, text, len), HEAD_OK);
	h = (struct head){0};
	len = fill(text, "GET /", 'x', HEAD_TARGET, rest);
	assert_int_equal(head_check(&h, text, len), HEAD_BAD);
	assert_int_equal(h.status, 414);
	h = (struct head){0};
	len = fill(text, "GET /", 'x', HEAD_TARGET + 100, "");
	assert_int_equal(head_check(&h, text, len), HEAD_BAD); /* without waiting for its end */
	assert_int_equal(h.status, 414);
}

/* What makes a parser keep much in little. */
TEST(many_parts)
{
	static const struct {
		const char *before, *piece, *after;
	} many[] = {
		{GET HOST, "A:\r\n", "\r\n"},
		{"GET /?", "&", " HTTP/1.1\r\n" HOST "\r\n"},
		{GET HOST "Cookie: ", ";", "\r\n\r\n"},
		{GET HOST "Cookie: ", ",", "\r\n\r\n"},
	};
	char text[HEAD_MAX];

	for (size_t i = 0; i < sizeof(many) / sizeof(*many); i++)
		for (int n = 150; n <= 200; n += 50) {
			struct head h = {0};
			size_t len = strlen(many[i].before);

			memcpy(text, many[i].before, len);
			for (int k = 0; k < n; k++, len += strlen(many[i].piece))
				memcpy(text + len, many[i].piece, strlen(many[i].piece));
			memcpy(text + len, many[i].after, strlen(many[i].after));
			len += strlen(many[i].after);
			assert_int_equal(head_check(&h, text, len), n > 150 ? HEAD_BAD : HEAD_OK);
			if (n > 150)
				assert_int_equal(h.status, 431);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(verdicts), cmocka_unit_test(byte_by_byte),
		cmocka_unit_test(a_nul),    cmocka_unit_test(where_things_stand),
		cmocka_unit_test(limits),   cmocka_unit_test(many_parts),
	};

	return cmocka_run_group_tests_name("head", tests, NULL, NULL);
}
