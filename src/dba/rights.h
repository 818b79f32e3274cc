/* SPDX-License-Identifier: PostgreSQL
 * What the roles of ours may do with tables of the application: read columns that the configuration
 * names, and nothing more. */
#ifndef PGHERALD_DBA_RIGHTS_H
#define PGHERALD_DBA_RIGHTS_H

#include "base/buf.h"
#include "dba/objects.h"

/* Grants what of `r` is not granted yet, without a lock on a table where that is nothing. */
void rights_grant_missing(struct buf *out, const struct objects *r);
/* One transaction that revokes what is not in `r`, which is a whole configuration. */
void rights_revoke_unneeded(struct buf *out, const struct objects *r);

/* One transaction that lets roles of the application read what pg_dump reads, where that tells them
 * nothing new. */
void rights_grant_dump(struct buf *out);

#endif
