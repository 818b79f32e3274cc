/* SPDX-License-Identifier: PostgreSQL
 * Within render: from table to table on the way to the owners. */
#ifndef PGHERALD_SQL_RENDER_STEPS_H
#define PGHERALD_SQL_RENDER_STEPS_H

#include "base/buf.h"
#include "sql/render_way.h"

/* Whether the way's own table has the owners. */
bool steps_are_last(const struct way *way) MUST_CHECK;
/* Back from a row of the way's table to the watched rows, "this": what stands behind FROM, and the
 * condition that begins there with the row's key, an expression of text. */
void steps_back(struct buf *out, const struct way *way);
void steps_begin(struct buf *out, const struct way *way, const char *key);
/* On from its value, an expression of text, to the owners: a SELECT of one column. Not of the last.
 */
void steps_on(struct buf *out, const struct way *way, const char *value);
/* That the transaction had made a step from that key itself, on this way, before the v row t. */
void steps_own(struct buf *out, const struct way *way, const char *key);

#endif
