/* SPDX-License-Identifier: PostgreSQL
 * A failure that comes again and again: in the log once for each reason it has, then as a number,
 * every so often. */
#ifndef PGHERALD_BASE_COMPLAINT_H
#define PGHERALD_BASE_COMPLAINT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"

#define COMPLAINT_REASONS  8	 /* so many are kept apart … */
#define COMPLAINT_OTHER_MS 10000 /* … or more, each in the place of one that is older than this */
#define COMPLAINT_SAME_MS  600000 /* the same one again */

struct complaint_reason {
	char text[120];
	uint64_t said_ms; /* when it was due */
};

struct complaint {
	struct complaint_reason reasons[COMPLAINT_REASONS];
	uint64_t n; /* failures so far */
};

/* One more failure; whether to log it, with c->n. */
bool complaint_due(struct complaint *c, const char *why, uint64_t now_ms) MUST_CHECK;

#endif
