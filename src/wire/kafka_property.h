/* SPDX-License-Identifier: PostgreSQL
 * A file of librdkafka's properties, "name = value" in a line: those that say how to get to the
 * brokers and in. What loads code, runs commands or changes what we promise is none of them. */
#ifndef PGHERALD_WIRE_KAFKA_PROPERTY_H
#define PGHERALD_WIRE_KAFKA_PROPERTY_H

#include <stdbool.h>

#include "base/mem.h"

struct kafka_property {
	char name[64];
	char value[2048];
};

/* Takes the next one off the text; empty lines and those that begin with # are passed over. False
 * at the end, where `*ret_why` is NULL, and for what is none, where it says so without quoting a
 * value. */
bool kafka_property_next(const char **text, struct kafka_property *ret,
			 const char **ret_why) MUST_CHECK;

#endif
