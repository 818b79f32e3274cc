/* SPDX-License-Identifier: PostgreSQL
 * A message as somebody posts it: its three shapes, and what is wrong with a body that has none of
 * them. The payload goes on as it stands there. */
#ifndef PGHERALD_WIRE_POSTING_H
#define PGHERALD_WIRE_POSTING_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

#define POSTING_MAX (1 << 20) /* bytes of a body */

struct posting {
	char *channel; /* or "*" */
	char *type;
	char *payload; /* JSON */
	char *key;     /* or NULL */
	bool persist;
};

/* Reads {"message": {"id", "type", "content"}}, {"event", "data", "id"}, or a notification,
 * {"title", "content", "type", "auto_hide", "duration"}; each with "channel" unless it is a
 * `broadcast`, and with "persist". 0; 400 for what is no JSON, 422 for what is none of these, with
 * a sentence in `why` that says where. posting_clear() releases in any case. */
unsigned posting_read(const char *text, size_t len, bool broadcast, struct posting *ret,
		      struct buf *why) MUST_CHECK;
void posting_clear(struct posting *m);

#endif
