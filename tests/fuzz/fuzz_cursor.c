/* SPDX-License-Identifier: PostgreSQL
 * wire/cursor: whatever is read is spelled the same again. */
#include "config.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "target.h"
#include "wire/cursor.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return 0;
}

static void snapshot(const char *text, size_t size)
{
	char *copy = xstrndup(text, size);
	struct snapshot s;

	if (snapshot_parse(&s, copy)) {
		for (size_t i = 0; i < s.n_xip; i++)
			assert(s.xip[i] < s.xmax && (!i || s.xip[i - 1] < s.xip[i]));
		snapshot_free(&s);
	}
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct cursor c;
	struct cursor_text t;

	if (cursor_parse(&c, text, size)) {
		assert(size <= CURSOR_TEXT_MAX);
		cursor_format(&c, &t);
		assert(strlen(t.text) == size && !memcmp(t.text, text, size));
		for (size_t i = 0; i < c.n_out; i++)
			assert(c.out[i] && c.out[i] < c.xmax && (!i || c.out[i - 1] < c.out[i]));
		for (size_t i = 0; i < c.n_in; i++)
			assert(c.in[i] >= c.xmax && (!i || c.in[i - 1] < c.in[i]));
		assert(cursor_xmin(&c) <= c.xmax);
		assert(cursor_has(&c, cursor_xmin(&c) - 1, 1));
		assert(!c.txid || cursor_has(&c, c.txid, c.id));
	}
	snapshot(text, size);
	return 0;
}
