/* SPDX-License-Identifier: PostgreSQL
 * What JSON a column's value becomes in an event: to_json() decides, by its type. Pure. */
#ifndef PGHERALD_TYPES_SHAPE_H
#define PGHERALD_TYPES_SHAPE_H

#include <stdbool.h>

enum shape_kind { SHAPE_ANY, SHAPE_STRING, SHAPE_NUMBER, SHAPE_INTEGER, SHAPE_BOOLEAN };

struct shape {
	enum shape_kind kind; /* of the items when it is an array */
	bool array;
	bool nullable;
};

/* Of a type's name in pg_type ("int8", "varchar"; of a domain that of its base, of an array that of
 * its items). `plain`: the type is PostgreSQL's own; `own_json`: it says itself what JSON it is. */
struct shape shape_of(const char *type, bool plain, bool own_json, bool array, bool nullable);

#endif
