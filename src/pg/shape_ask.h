/* SPDX-License-Identifier: PostgreSQL
 * What shape.c asks the catalogs: of the watches, what they join and follow, and of the tables of
 * the doors, whose triggers tell that rights have ended. */
#ifndef PGHERALD_PG_SHAPE_ASK_H
#define PGHERALD_PG_SHAPE_ASK_H

#include "base/buf.h"

struct conf;

enum {
	SHAPE_PARAMS = 16,
	SHAPE_TEXT_MAX = 1 << 22,
};

extern const char shape_sql[];

/* The parameters of shape_sql, to be freed. */
void shape_params(struct buf params[SHAPE_PARAMS], const struct conf *conf);
/* One more element of an array parameter: a name may hold anything. */
void shape_add(struct buf *b, const char *text);

#endif
