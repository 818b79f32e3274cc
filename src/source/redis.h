/* SPDX-License-Identifier: PostgreSQL
 * A connection to Redis or Valkey, in a loop: TLS, who we are, commands out and replies in. Through
 * hiredis, which writes the ones and reads the others; no value is larger than PARCEL_MAX. */
#ifndef PGHERALD_SOURCE_REDIS_H
#define PGHERALD_SOURCE_REDIS_H

#include <stdbool.h>
#include <stddef.h>

#include "source/source.h"

#define REDIS_REPLY_BYTES (48 << 20)

struct redis;
struct redisReply;

struct redis_callbacks {
	/* It may be asked. */
	void (*up)(struct source *s);
	/* A reply to a command, or what is pushed to a subscriber; it stays redis'. */
	void (*reply)(struct source *s, const struct redisReply *reply);
};

/* Connects, as s->own; and again after each redis_fail(). `extra` is what the kind keeps besides.
 */
void redis_start(struct source *s, void *extra, const struct redis_callbacks *callbacks);
void redis_stop(struct source *s);
/* Sends a command of `n` words. */
void redis_command(struct source *s, size_t n, const char *const *words);
/* Something has to come within so long, or it counts as dead; 0 = nothing has to. */
void redis_expect(struct source *s, uint64_t within_ms);
/* Hangs up and tries again after a pause. Within a callback nothing else may be done after it. */
void redis_fail(struct source *s, const char *why);
bool redis_is_up(const struct source *s) MUST_CHECK;
/* Whether the reply at hand lacks values, since it was more than REDIS_REPLY_BYTES in all. */
bool redis_is_overfull(const struct source *s) MUST_CHECK;
void *redis_extra(const struct source *s);

#endif
