/* SPDX-License-Identifier: PostgreSQL
 * conf: whatever is read prints to a file that reads back and prints the same; whatever is not
 * has a reason with its place. */
#include "config.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"
#include "target.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf error, first, second;
	struct conf *c, *again;

	if (size > 20000) /* a printed list takes more room, and a value may have 64 KiB */
		size = 20000;
	buf_init(&error, 1 << 17);
	buf_init(&first, 1 << 24);
	buf_init(&second, 1 << 24);
	c = conf_parse("f", (const char *)data, size, &error);
	if (c) {
		char *topics = conf_topics(c);

		assert(topics[0] == '[');
		free(topics);
		conf_print(c, &first);
		assert(buf_ok(&first));
		again = conf_parse("f", buf_cstr(&first), first.len, &error);
		assert(again);
		conf_print(again, &second);
		assert(first.len == second.len && !memcmp(first.data, second.data, first.len));
		buf_clear(&second);
		conf_restart_needed(c, again, &second);
		assert(!second.len);
		conf_unref(again);
		conf_unref(c);
	} else
		assert(!strncmp(buf_cstr(&error), "f:", 2) && error.len > 6);
	buf_free(&error);
	buf_free(&first);
	buf_free(&second);
	return 0;
}
