/* SPDX-License-Identifier: PostgreSQL
 * See complaint.h. */
#include "config.h"
#include "base/complaint.h"

#include <stdio.h>
#include <string.h>

bool complaint_due(struct complaint *c, const char *why, uint64_t now_ms)
{
	bool same = !strncmp(c->why, why, sizeof(c->why) - 1);

	if (c->n++ && now_ms < c->said_ms + (same ? COMPLAINT_SAME_MS : COMPLAINT_OTHER_MS))
		return false;
	snprintf(c->why, sizeof(c->why), "%s", why);
	c->said_ms = now_ms;
	return true;
}
