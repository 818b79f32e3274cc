/* SPDX-License-Identifier: PostgreSQL
 * A message as somebody posts it: its three shapes, and what is wrong with a body that has none of
 * them. The payload goes on as it stands there. */
#ifndef PGHERALD_WIRE_POSTING_H
#define PGHERALD_WIRE_POSTING_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "wire/scan.h"

#define POSTING_MAX (1 << 20) /* bytes of a body */

struct posting {
	char *channel; /* or "*"; NULL when it is for a user */
	char *user;    /* his id, or NULL */
	char *type;
	char *payload; /* JSON */
	char *key;     /* or NULL */
	bool persist;
};

/* Reads {"message": {"id", "type", "content"}}, {"event", "data", "id"}, or a notification,
 * {"title", "content", "type", "auto_hide", "duration"}; each with "channel" or "user_id" unless it
 * is a `broadcast`, and with "persist". 0; 400 for what is no JSON, 422 for what is none of these,
 * with a sentence in `why` that says where. posting_clear() releases in any case. */
unsigned posting_read(const char *text, size_t len, bool broadcast, struct posting *ret,
		      struct buf *why) MUST_CHECK;

/* That a text is no JSON, and where. */
void posting_fault(const char *text, size_t len, struct buf *why);

enum posting_to { POSTING_TO_CHANNEL, POSTING_TO_USER, POSTING_TO_ANY };

/* The same of what is said over a WebSocket: {"content", "type", "id", "persist"}, with "channel",
 * with "user_id", or with one of them or none, which is everybody. `type` is that of a message
 * which says none. */
unsigned posting_read_said(struct scan data, enum posting_to to, const char *type,
			   struct posting *ret, struct buf *why) MUST_CHECK;
/* Bytes that it takes. */
size_t posting_bytes(const struct posting *m);
void posting_clear(struct posting *m);

#endif
