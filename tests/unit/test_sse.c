/* SPDX-License-Identifier: PostgreSQL
 * wire/sse: the lines of an event stream, checked by parsing them as a browser does. */
#include "config.h"
#include "unit.h"

#include <stdbool.h>
#include <string.h>

#include "wire/sse.h"

static void expect_data(const char *in, size_t len, const char *want)
{
	struct buf b;

	buf_init(&b, 1000);
	sse_data(&b, in, len);
	assert_string_equal(buf_cstr(&b), want);
	buf_free(&b);
}

#define EXPECT_DATA(in, want) expect_data(in, sizeof(in) - 1, want)

TEST(one_line_per_line)
{
	EXPECT_DATA("one", "data: one\n");
	EXPECT_DATA("", "data: \n");
	EXPECT_DATA("a\nb", "data: a\ndata: b\n");
	EXPECT_DATA("a\rb", "data: a\ndata: b\n");
	EXPECT_DATA("a\r\nb", "data: a\ndata: b\n");
	EXPECT_DATA("a\n\rb", "data: a\ndata: \ndata: b\n");
	EXPECT_DATA("a\r\r\nb", "data: a\ndata: \ndata: b\n");
	EXPECT_DATA("a\n", "data: a\ndata: \n");
	EXPECT_DATA("a\r\n", "data: a\ndata: \n");
	EXPECT_DATA("\n", "data: \ndata: \n");
	EXPECT_DATA("a\r", "data: a\ndata: \n");
	EXPECT_DATA(" a", "data:  a\n"); /* the client takes one space away */
}

static void message(struct buf *b, const char *name, const char *comment, const char *text,
		    const char *id, uint64_t retry_ms)
{
	autobuf n = {.max = 1000}, c = {.max = 1000}, t = {.max = 1000};

	buf_str(&n, name);
	buf_str(&c, comment);
	buf_str(&t, text);
	sse_message(b, &n, &c, &t, id, retry_ms);
}

TEST(the_other_lines)
{
	autobuf b = {.max = 1000};

	sse_retry(&b, 3000);
	sse_comment(&b, "lost\nid: 7\r\nretry: 1");
	message(&b, "", "", "x\ny", "abc.1", 0);
	message(&b, "", "", "z", NULL, 0);
	assert_string_equal(buf_cstr(&b), "retry: 3000\n: lost id: 7  retry: 1\n"
					  "data: x\ndata: y\nid: abc.1\n\ndata: z\n\n");
	buf_clear(&b);
	message(&b, "a\nid: 7\rb", "", "x", "abc.1", 5000);
	message(&b, "", "beat", "", NULL, 0);
	message(&b, "", "beat", "", "abc.2", 0);
	message(&b, "", "", "", "abc.3", 0);
	message(&b, "lost", "", "", NULL, 5000);
	assert_string_equal(buf_cstr(&b), "event: a id: 7 b\ndata: x\nid: abc.1\nretry: 5000\n\n"
					  ": beat\n\n: beat\nid: abc.2\n\nid: abc.3\n\n");
}

/* The data of the one event in `s`, by the rules of the standard; false when it has other lines. */
static bool interpret(const char *s, size_t len, char *out, size_t *ret_len)
{
	size_t n = 0, at = 0;
	bool first = true;

	while (at < len) {
		size_t end = at;

		while (end < len && s[end] != '\n' && s[end] != '\r')
			end++;
		if (end == at) { /* the blank line: dispatch */
			*ret_len = n;
			return at + 1 == len;
		}
		if (end - at < 6 || memcmp(s + at, "data: ", 6))
			return false;
		if (!first)
			out[n++] = '\n';
		first = false;
		memcpy(out + n, s + at + 6, end - at - 6);
		n += end - at - 6;
		at = end + 1; /* we write LF alone */
	}
	return false;
}

TEST(random_text_arrives)
{
	struct rng r = rng_new();

	for (int round = 0; round < 20000; round++) {
		char text[20], want[20], got[200];
		size_t len = 1 + rng_below(&r, sizeof(text) - 1), n_want = 0, n_got = 0;
		autobuf b = {.max = 1000}, t = {.max = 1000}, none = {.max = 1000};

		for (size_t i = 0; i < len; i++)
			text[i] = "\r\n\r\nab: \0"[rng_below(&r, 9)];
		for (size_t i = 0; i < len; i++) { /* CR and CRLF become LF, and nothing else */
			want[n_want++] = text[i] == '\r' ? '\n' : text[i];
			if (text[i] == '\r' && i + 1 < len && text[i + 1] == '\n')
				i++;
		}
		buf_add(&t, text, len);
		sse_message(&b, &none, &none, &t, NULL, 0);
		assert_true(interpret(b.data, b.len, got, &n_got));
		assert_int_equal(n_got, n_want);
		assert_memory_equal(got, want, n_want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_line_per_line),
		cmocka_unit_test(the_other_lines),
		cmocka_unit_test(random_text_arrives),
	};

	return cmocka_run_group_tests_name("sse", tests, NULL, NULL);
}
