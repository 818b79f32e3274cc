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

TEST(the_other_lines)
{
	struct buf b;

	buf_init(&b, 1000);
	sse_retry(&b, 3000);
	sse_comment(&b, "lost\nid: 7\r\nretry: 1");
	sse_event(&b, "x\ny", 3, "abc.1");
	sse_event(&b, "z", 1, NULL);
	assert_string_equal(buf_cstr(&b), "retry: 3000\n: lost id: 7  retry: 1\n"
					  "data: x\ndata: y\nid: abc.1\n\ndata: z\n\n");
	buf_free(&b);
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
		size_t len = rng_below(&r, sizeof(text)), n_want = 0, n_got = 0;
		struct buf b;

		for (size_t i = 0; i < len; i++)
			text[i] = "\r\n\r\nab: \0"[rng_below(&r, 9)];
		for (size_t i = 0; i < len; i++) { /* CR and CRLF become LF, and nothing else */
			want[n_want++] = text[i] == '\r' ? '\n' : text[i];
			if (text[i] == '\r' && i + 1 < len && text[i + 1] == '\n')
				i++;
		}
		buf_init(&b, 1000);
		sse_event(&b, text, len, NULL);
		assert_true(interpret(b.data, b.len, got, &n_got));
		assert_int_equal(n_got, n_want);
		assert_memory_equal(got, want, n_want);
		buf_free(&b);
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
