/* SPDX-License-Identifier: PostgreSQL
 * The part of a rendered piece that may be run without any lock on a table, and the rights that
 * go with a watch. */
#ifndef PGHERALD_CLI_UPGRADE_H
#define PGHERALD_CLI_UPGRADE_H

#include "base/buf.h"
#include "cli/rendered.h"

/* One transaction that replaces the functions of `piece` and grants what they miss; it refuses to
 * run on a schema of another version than `schema_version`. */
void upgrade_render(struct buf *out, const char *title, const char *piece, unsigned schema_version);
/* One transaction that revokes the owner role's rights which are in `gone` and not in `stays`;
 * false when there is none. */
bool upgrade_render_revoke(struct buf *out, const char *topic, const struct rendered *gone,
			   const struct rendered *stays) MUST_CHECK;

#endif
