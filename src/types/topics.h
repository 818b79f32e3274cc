/* SPDX-License-Identifier: PostgreSQL
 * The events of a configuration: for each watch its fields and what they hold. */
#ifndef PGHERALD_TYPES_TOPICS_H
#define PGHERALD_TYPES_TOPICS_H

#include <stddef.h>

#include "conf.h"
#include "types/shape.h"

struct topic {
	const struct watch *watch; /* of the configuration */
	char *name;		   /* of its type, "OrderItem"; no other topic has it */
	struct shape *shapes;	   /* one for each field of the watch */
};

struct topics {
	const struct conf *conf; /* must outlive this */
	struct topic *items;
	size_t n;
};

/* Of fields nothing is known yet but what a cast says. topics_free() releases. */
void topics_of(struct topics *t, const struct conf *conf);
void topics_free(struct topics *t);

#endif
