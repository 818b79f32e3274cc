/* SPDX-License-Identifier: PostgreSQL
 * wire/frame: one HTTP/1.1 chunk around a body, counted. */
#include "config.h"
#include "unit.h"

#include <string.h>

#include "wire/frame.h"

static void expect(size_t len)
{
	char *body = malloc(len), head[20];
	int n = snprintf(head, sizeof(head), "%zx\r\n", len);
	struct frame *f;

	assert_non_null(body);
	for (size_t i = 0; i < len; i++)
		body[i] = (char)('a' + i % 26);
	f = frame_new(body, len);
	assert_int_equal(f->refs, 1);
	assert_int_equal(f->body_len, len);
	assert_int_equal(f->len, f->body_at + len + 2);
	/* RFC 9112 section 7.1: size in hex, CRLF, data, CRLF */
	assert_int_equal(f->body_at, n);
	assert_memory_equal(f->bytes, head, (size_t)n);
	assert_memory_equal(f->bytes + f->body_at, body, len);
	assert_memory_equal(f->bytes + f->body_at + len, "\r\n", 2);
	frame_unref(f);
	free(body);
}

TEST(chunks_of_every_size)
{
	for (size_t len = 1; len < 600; len++)
		expect(len);
	expect(4095);
	expect(4096);
	expect(65535);
	expect(1 << 20);
}

TEST(exact_bytes)
{
	struct frame *f = frame_new("data: 0123456\n\n", 15);

	assert_int_equal(f->len, 20);
	assert_memory_equal(f->bytes, "f\r\ndata: 0123456\n\n\r\n", 20);
	frame_unref(f);
}

TEST(counted)
{
	struct frame *f = frame_new("x", 1);

	assert_ptr_equal(frame_ref(f), f);
	frame_unref(f);
	assert_int_equal(f->refs, 1);
	assert_int_equal(f->body_len, 1);
	frame_unref(f);
	frame_unref(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chunks_of_every_size),
		cmocka_unit_test(exact_bytes),
		cmocka_unit_test(counted),
	};

	return cmocka_run_group_tests_name("frame", tests, NULL, NULL);
}
