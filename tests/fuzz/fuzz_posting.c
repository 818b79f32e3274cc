/* SPDX-License-Identifier: PostgreSQL
 * wire/posting: a body that is posted, as a broadcast and for a channel. */
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (int broadcast = 0; broadcast < 2; broadcast++) {
		autobuf why = {.max = 4096};
		struct posting m;
		struct scan payload;
		unsigned status = posting_read((const char *)data, size, broadcast, &m, &why);

		assert((status == 0) == (why.len == 0));
		if (!status) {
			assert(m.channel && m.type && (m.key || !m.persist));
			assert(!broadcast || !strcmp(m.channel, "*"));
			assert(scan_text(m.payload, strlen(m.payload), &payload));
		}
		posting_clear(&m);
	}
	return 0;
}
