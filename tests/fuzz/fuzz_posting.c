/* SPDX-License-Identifier: PostgreSQL
 * wire/posting: a body that is posted, as a broadcast and for somebody, and what is said. */
#include "config.h"

#include <assert.h>
#include <string.h>

#include "target.h"
#include "wire/posting.h"
#include "wire/scan.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return 0;
}

static void say(const char *data, size_t size)
{
	struct scan all;

	for (enum posting_to to = POSTING_TO_CHANNEL; to <= POSTING_TO_ANY; to++) {
		autobuf why = {.max = 4096};
		struct posting m;

		if (!scan_text(data, size, &all))
			return;
		if (!posting_read_said(all, to, "text", &m, &why)) {
			assert(!m.channel != !m.user && m.type && (m.key || !m.persist));
			assert(to != POSTING_TO_CHANNEL || m.channel);
			assert(to != POSTING_TO_USER || m.user);
		}
		posting_clear(&m);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (int broadcast = 0; broadcast < 2; broadcast++) {
		autobuf why = {.max = 4096};
		struct posting m;
		struct scan payload;
		unsigned status = posting_read((const char *)data, size, broadcast, &m, &why);

		assert((status == 0) == (why.len == 0));
		if (!status) {
			assert(!m.channel != !m.user && m.type && (m.key || !m.persist));
			assert(!broadcast || (m.channel && !strcmp(m.channel, "*")));
			assert(scan_text(m.payload, strlen(m.payload), &payload));
		}
		posting_clear(&m);
	}
	say((const char *)data, size);
	return 0;
}
