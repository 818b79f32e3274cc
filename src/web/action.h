/* SPDX-License-Identifier: PostgreSQL
 * What a client can ask for over its WebSocket: {"action": …, "data": {…}, "request_id": …}. Every
 * message has an answer, and if it is an error. An action is a row of the table in action.c. */
#ifndef PGHERALD_WEB_ACTION_H
#define PGHERALD_WEB_ACTION_H

#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"

#include "wire/posting.h"
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
/* Publishes what `data` says, a message of `type` unless it says which. */
void action_publish(struct stream *s, struct scan data, enum posting_to to, const char *type,
		    const char *request_id);
void action_forget_published(struct stream *s);
/* Looks up a credential, which takes the place of the stream's own when it is the same user's. */
void action_renew(struct stream *s, struct scan data, const char *request_id);
/* Whether a limit of its route lets it do that now: to publish, to whom when `to` is not NULL, or
 * to change what it hears. Otherwise the answer has been given. */
enum action_kind { ACTION_PUBLISHES, ACTION_SUBSCRIBES };
bool action_keeps_pace(struct stream *s, enum action_kind kind, const char *to,
		       const char *request_id) MUST_CHECK;

#endif
