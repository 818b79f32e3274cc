/* SPDX-License-Identifier: PostgreSQL
 * What a client can ask for over its WebSocket: {"action": …, "data": {…}, "request_id": …}. Every
 * message has an answer, and if it is an error. An action is a row of the table in action.c. */
#ifndef PGHERALD_WEB_ACTION_H
#define PGHERALD_WEB_ACTION_H

#include <stddef.h>

#include "wire/scan.h"

struct buf;
struct stream;

/* Does what a message says and queues the answer. */
void action_take(struct stream *s, const char *text, size_t len);

/* Its stream closes: what is away for it comes back to nobody. */
void action_forget(struct stream *s);

/* Between the files of action: */

/* Queues an answer: "system.WHAT" in most dialects. `request_id` is JSON text, or NULL. */
void action_reply(struct stream *s, const char *request_id, const char *what,
		  const struct buf *data);
void action_fail(struct stream *s, const char *request_id, const char *type, const char *why);
/* Looks up a credential, which takes the place of the stream's own when it is the same user's. */
void action_renew(struct stream *s, struct scan data, const char *request_id);

#endif
