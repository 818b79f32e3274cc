/* SPDX-License-Identifier: PostgreSQL
 * What somebody has sent to Redis or Kafka, and what it is to clients: of which type, for whom, and
 * the document. All of it may come from anybody who can write there. */
#ifndef PGHERALD_SOURCE_PARCEL_H
#define PGHERALD_SOURCE_PARCEL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "conf.h"

#define PARCEL_MAX	 (1 << 20) /* bytes of a payload, as pgherald.publish() has it */
#define PARCEL_USERS_MAX 100

/* As it came; a piece that is not there is NULL. */
struct parcel {
	const char *channel; /* of Redis, a stream, a topic of Kafka */
	const char *key, *type, *payload;
	size_t channel_len, key_len, type_len, payload_len;
	const char *position; /* what no other message of this source has; a C string */
};

struct told {
	struct buf type, document;
	struct buf audience; /* a list as wire/array.h has it: of users' ids, or one channel's */
	bool is_channel;     /* then without its '#'; or "*" */
};

/* Reads a message as the section says. False with `why`, a literal, when it is none; told_free() in
 * any case. */
bool parcel_read(const struct conf *c, const struct conf_listen *l, const struct parcel *m,
		 struct told *ret, const char **why) MUST_CHECK;
void told_free(struct told *t);

#endif
