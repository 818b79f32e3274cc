/* SPDX-License-Identifier: PostgreSQL
 * wire/head: the verdict does not depend on the pieces it comes in, and what is let in can be read
 * in one way only. */
#include "config.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "target.h"
#include "wire/head.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return 0;
}

/* Every line of a head that is let in, as RFC 9112 has it. */
static void expect_strict(const char *head, size_t len)
{
	size_t line = 0;

	assert(len >= 18 && !memcmp(head + len - 4, "\r\n\r\n", 4) && !memchr(head, '\0', len));
	for (size_t i = 0; i < len; i++) {
		assert((head[i] == '\n') == (i > 0 && head[i - 1] == '\r'));
		if (i == line && i > 2 && i < len - 2)
			assert(head[i] != ' ' && head[i] != '\t' && head[i] != ':');
		if (head[i] == '\n')
			line = i + 1;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *bytes = calloc(size ? size : 1, 1);
	struct head whole = {0}, pieces = {0};

	assert(bytes);
	if (size)
		memcpy(bytes, data, size);
	head_check(&whole, bytes, size);
	for (size_t n = 0; n < size; n += 1 + n % 7)
		head_check(&pieces, bytes, n);
	head_check(&pieces, bytes, size);
	assert(whole.verdict == pieces.verdict && whole.status == pieces.status);
	assert(whole.len == pieces.len && whole.why == pieces.why);
	if (whole.verdict == HEAD_BAD)
		assert(whole.status >= 400 && whole.why);
	head_find_origin(&whole, bytes, size < HEAD_MAX ? size : HEAD_MAX);
	if (whole.origin)
		assert(whole.origin + whole.origin_len <= size);
	if (whole.verdict == HEAD_OK) {
		assert(whole.len <= size && whole.len <= HEAD_MAX &&
		       (!whole.body || (whole.post && whole.body_len <= HEAD_BODY_MAX)));
		assert(whole.parts <= HEAD_PARTS_MAX);
		expect_strict(bytes, whole.len);
	}
	free(bytes);
	return 0;
}
