/* SPDX-License-Identifier: PostgreSQL
 * See complaint.h. */
#include "config.h"
#include "base/complaint.h"

#include <stdio.h>
#include <string.h>

bool complaint_due(struct complaint *c, const char *why, uint64_t now_ms)
{
	struct complaint_reason *oldest = c->reasons; /* those not in use are the oldest */

	c->n++;
	for (int i = 0; i < COMPLAINT_REASONS; i++) {
		struct complaint_reason *r = &c->reasons[i];

		if (*r->text && !strncmp(r->text, why, sizeof(r->text) - 1)) {
			if (now_ms < r->said_ms + COMPLAINT_SAME_MS)
				return false;
			r->said_ms = now_ms;
			return true;
		}
		if (r->said_ms < oldest->said_ms)
			oldest = r;
	}
	if (*oldest->text && now_ms < oldest->said_ms + COMPLAINT_OTHER_MS)
		return false;
	snprintf(oldest->text, sizeof(oldest->text), "%s", why);
	oldest->said_ms = now_ms;
	return true;
}
