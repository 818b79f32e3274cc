/* SPDX-License-Identifier: PostgreSQL
 * The owner role's rights on tables of the application, without a lock on those that it has. */
#ifndef PGHERALD_DBA_RIGHTS_H
#define PGHERALD_DBA_RIGHTS_H

#include "base/buf.h"
#include "dba/objects.h"

/* Grants what of `r` is not granted yet. */
void rights_grant_missing(struct buf *out, const struct objects *r);
/* One transaction that revokes what is in `gone` and not in `stays`, which only watch `topic` had;
 * false when there is nothing. */
bool rights_revoke(struct buf *out, const char *topic, const struct objects *gone,
		   const struct objects *stays) MUST_CHECK;

#endif
