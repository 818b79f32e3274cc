/* SPDX-License-Identifier: PostgreSQL
 * Long-poll: one JSON document, an array of messages and where to go on from. It is written as they
 * come, so that messages are shared by whoever waits for them. */
#ifndef PGHERALD_WIRE_POLL_H
#define PGHERALD_WIRE_POLL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

/* Before the first message, which is a greeting; and the end when where to go on is not known. */
#define POLL_BEGIN  "{\"events\": [\n"
#define POLL_BROKEN "\n], \"last_event_id\": null, \"retry\": 0}\n"

/* One message. All but a greeting stand behind another one. */
void poll_message(struct buf *b, const char *json, size_t len, bool is_greeting);
/* The end: with which id to ask again, in how many milliseconds at the earliest; and in how many
 * seconds the credential ends, 0 where that is not to be told. */
void poll_end(struct buf *b, const char *id, uint64_t retry_ms, uint32_t expires_s);

#endif
