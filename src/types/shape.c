/* SPDX-License-Identifier: PostgreSQL
 * See shape.h. */
#include "config.h"
#include "types/shape.h"

#include <stddef.h>
#include <string.h>

static const struct {
	const char *type;
	enum shape_kind kind;
} kinds[] = {
	{"int2", SHAPE_INTEGER},  {"int4", SHAPE_INTEGER},  {"int8", SHAPE_INTEGER},
	{"float4", SHAPE_NUMBER}, {"float8", SHAPE_NUMBER}, {"numeric", SHAPE_NUMBER},
	{"bool", SHAPE_BOOLEAN},  {"json", SHAPE_ANY},	    {"jsonb", SHAPE_ANY},
};

struct shape shape_of(const char *type, bool plain, bool own_json, bool array, bool nullable)
{
	struct shape s = {
		.kind = own_json ? SHAPE_ANY : SHAPE_STRING,
		.array = array,
		.nullable = nullable,
	};

	for (size_t i = 0; plain && i < sizeof(kinds) / sizeof(*kinds); i++)
		if (!strcmp(kinds[i].type, type))
			s.kind = kinds[i].kind;
	return s;
}
