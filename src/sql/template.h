/* SPDX-License-Identifier: PostgreSQL
 * Fills {{names}} in a text. Knows nothing of SQL. */
#ifndef PGHERALD_SQL_TEMPLATE_H
#define PGHERALD_SQL_TEMPLATE_H

#include "base/buf.h"

struct slot {
	const char *name;
	const char *value;
};

/* Appends `text` with every {{name}} replaced; `slots` ends with a NULL name, and a name that is
 * not among them is a bug (assert). Further lines of a value are indented as far as the first, and
 * a line that held nothing but an empty value goes. */
void template_fill(struct buf *out, const char *text, const struct slot *slots);
/* The same for a template within another, which has the last line break itself. */
void template_fill_within(struct buf *out, const char *text, const struct slot *slots);

#endif
