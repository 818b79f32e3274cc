/* SPDX-License-Identifier: PostgreSQL
 * wire/websocket: what RFC 6455 lets a client send is read, in whatever pieces it comes; all else
 * is refused with the code that the RFC names. */
#include "config.h"
#include "unit.h"

#include "base/buf.h"
#include "wire/websocket.h"

#define MAX 200 /* bytes of a message */

/* A client's frame: first byte, payload. */
static void put(struct buf *b, unsigned first, const char *payload, size_t len)
{
	static const unsigned char mask[4] = {0x37, 0xfa, 0x21, 0x3d};

	buf_char(b, (char)first);
	buf_char(b, (char)(0x80 | (len < 126 ? len : 126)));
	if (len >= 126) {
		buf_char(b, (char)(len >> 8));
		buf_char(b, (char)len);
	}
	buf_add(b, mask, 4);
	for (size_t i = 0; i < len; i++)
		buf_char(b, (char)(payload[i] ^ mask[i % 4]));
}

static void put_text(struct buf *b, unsigned first, const char *payload)
{
	put(b, first, payload, strlen(payload));
}

/* What is told of these bytes, when they come `step` at a time: a letter and its content each. */
static void tell(const struct buf *in, size_t step, struct buf *out)
{
	const char *at = buf_cstr(in), *end = at + in->len;
	struct websocket w;

	websocket_init(&w, MAX);
	while (at < end) {
		const char *upto = (size_t)(end - at) < step ? end : at + step;

		while (at < upto)
			switch (websocket_read(&w, &at, upto)) {
			case WEBSOCKET_GOT_NOTHING:
				assert_ptr_equal(at, upto);
				break;
			case WEBSOCKET_GOT_TEXT:
				buf_printf(out, "text(%s)", buf_cstr(&w.text));
				break;
			case WEBSOCKET_GOT_PING:
				buf_printf(out, "ping(%.*s)", w.n_control, w.control);
				break;
			case WEBSOCKET_GOT_PONG:
				buf_printf(out, "pong(%.*s)", w.n_control, w.control);
				break;
			case WEBSOCKET_GOT_CLOSE:
				buf_printf(out, "close(%u %.*s)", w.code, w.n_control, w.control);
				websocket_free(&w);
				return;
			case WEBSOCKET_GOT_ERROR:
				assert_non_null(w.why);
				buf_printf(out, "error(%u)", w.code);
				websocket_free(&w);
				return;
			}
	}
	websocket_free(&w);
}

static void expect(const struct buf *in, const char *want)
{
	for (size_t step = 1; step <= in->len; step += step < 4 ? 1 : in->len / 3) {
		autobuf out = {.max = 1 << 16};

		tell(in, step, &out);
		if (strcmp(buf_cstr(&out), want) != 0)
			fail_msg("%zu at a time: %s, not %s", step, buf_cstr(&out), want);
	}
}

#define EXPECT(want, ...)                                                                          \
	do {                                                                                       \
		autobuf in = {.max = 1 << 16};                                                     \
		__VA_ARGS__;                                                                       \
		expect(&in, want);                                                                 \
	} while (0)

TEST(messages)
{
	EXPECT("text(Hello)", put_text(&in, 0x81, "Hello"));
	EXPECT("text()text(b)", put_text(&in, 0x81, ""), put_text(&in, 0x81, "b"));
	EXPECT("text(Hello)", put_text(&in, 0x01, "Hel"), put_text(&in, 0x80, "lo"));
	EXPECT("ping(x)pong()text(Hello)", put_text(&in, 0x01, "Hel"), put_text(&in, 0x89, "x"),
	       put_text(&in, 0x00, ""), put_text(&in, 0x8a, ""), put_text(&in, 0x80, "lo"));
	/* A character in two frames. */
	EXPECT("text(\xe2\x82\xac!)", put_text(&in, 0x01, "\xe2\x82"),
	       put_text(&in, 0x80, "\xac!"));
	EXPECT("close(1005 )", put_text(&in, 0x88, ""), put_text(&in, 0x81, "not read"));
	EXPECT("close(1000 bye)", put_text(&in, 0x88,
					   "\x03\xe8"
					   "bye"));
	EXPECT("close(4999 )", put_text(&in, 0x88, "\x13\x87"));
}

TEST(refusals)
{
	char large[MAX + 1];

	memset(large, 'x', sizeof(large));
	EXPECT("error(1002)", put_text(&in, 0xc1, "x")); /* reserved bits */
	EXPECT("error(1002)", put_text(&in, 0x91, "x"));
	EXPECT("error(1002)", put_text(&in, 0x83, "x")); /* opcodes */
	EXPECT("error(1002)", put_text(&in, 0x8b, "x"));
	EXPECT("error(1002)", put_text(&in, 0x80, "x")); /* nothing to continue */
	EXPECT("error(1002)", put_text(&in, 0x01, "x"), put_text(&in, 0x81, "y"));
	EXPECT("error(1002)", put_text(&in, 0x09, "x"));	 /* a ping in pieces */
	EXPECT("error(1002)", put(&in, 0x89, large, 126));	 /* ... and one that is too long */
	EXPECT("error(1002)", buf_add(&in, "\x81\x05Hello", 7)); /* not masked */
	EXPECT("error(1002)", buf_add(&in, "\x81\xfe\x00\x05mask", 8)); /* 5 in two bytes */
	EXPECT("error(1009)", buf_add(&in, "\x81\xff\x00\x00\x00\x00\x00\x01\x00\x00mask", 14));
	EXPECT("error(1002)", buf_add(&in, "\x81\xff\x80\x00\x00\x00\x00\x01\x00\x00mask", 14));
	EXPECT("error(1003)", put_text(&in, 0x82, "x"));
	EXPECT("error(1009)", put(&in, 0x81, large, MAX + 1));
	EXPECT("error(1009)", put(&in, 0x01, large, MAX), put(&in, 0x80, large, 1));
	EXPECT("error(1007)", put_text(&in, 0x81, "a\xff"));
	EXPECT("error(1007)", put_text(&in, 0x81, "\xed\xa0\x80")); /* half a surrogate pair */
	EXPECT("error(1007)", put_text(&in, 0x81, "\xe2\x82"));
	EXPECT("error(1007)", put_text(&in, 0x01, "\xf4\x90"),
	       put_text(&in, 0x89, "")); /* at once */
	EXPECT("error(1002)", put_text(&in, 0x88, "\x03"));
	EXPECT("error(1002)", put_text(&in, 0x88, "\x03\xed")); /* 1005 */
	EXPECT("error(1002)", put_text(&in, 0x88, "\x07\xd0")); /* 2000 */
	EXPECT("error(1007)", put_text(&in, 0x88, "\x03\xe8\xff"));
}

/* Between two messages a client costs no memory but the struct. */
TEST(rests)
{
	autobuf in = {.max = 1 << 16};
	struct websocket w;
	const char *at, *end;

	websocket_init(&w, MAX);
	put_text(&in, 0x01, "Hel");
	put_text(&in, 0x80, "lo");
	at = buf_cstr(&in);
	end = at + in.len;
	for (const char *upto = at + 1; upto < end; upto++) {
		assert_int_equal(websocket_read(&w, &at, upto), WEBSOCKET_GOT_NOTHING);
		assert_false(websocket_rests(&w));
	}
	assert_int_equal(websocket_read(&w, &at, end), WEBSOCKET_GOT_TEXT);
	assert_string_equal(buf_cstr(&w.text), "Hello");
	assert_true(websocket_rests(&w));
	assert_null(w.text.data);
	at = buf_cstr(&in);
	assert_int_equal(websocket_read(&w, &at, end), WEBSOCKET_GOT_TEXT);
	assert_string_equal(buf_cstr(&w.text), "Hello");
	websocket_free(&w);
}

TEST(frames_of_ours)
{
	autobuf b = {.max = 1 << 20}, text = {.max = 1 << 20};

	websocket_frame(&b, WEBSOCKET_TEXT, "Hello", 5);
	assert_int_equal(b.len, 7);
	assert_memory_equal(buf_cstr(&b), "\x81\x05Hello", 7);
	for (size_t i = 0; i < 70000; i++)
		buf_char(&text, 'x');
	buf_clear(&b);
	websocket_frame(&b, WEBSOCKET_TEXT, buf_cstr(&text), 126);
	assert_memory_equal(buf_cstr(&b), "\x81\x7e\x00\x7ex", 5);
	buf_clear(&b);
	websocket_frame(&b, WEBSOCKET_TEXT, buf_cstr(&text), 70000);
	assert_memory_equal(buf_cstr(&b), "\x81\x7f\0\0\0\0\x00\x01\x11\x70x", 11);
	buf_clear(&b);
	websocket_close(&b, WEBSOCKET_GOING_AWAY, "bye");
	assert_memory_equal(buf_cstr(&b),
			    "\x88\x05\x03\xe9"
			    "bye",
			    7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages),
		cmocka_unit_test(refusals),
		cmocka_unit_test(rests),
		cmocka_unit_test(frames_of_ours),
	};

	return cmocka_run_group_tests_name("websocket", tests, NULL, NULL);
}
