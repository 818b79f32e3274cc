/* SPDX-License-Identifier: PostgreSQL
 * What a client can ask for over its WebSocket: {"action": …, "data": {…}, "request_id": …}. Every
 * message has an answer, and if it is an error. An action is a row of the table in action.c. */
#ifndef PGHERALD_WEB_ACTION_H
#define PGHERALD_WEB_ACTION_H

#include <stddef.h>

struct stream;

/* Does what a message says and queues the answer. */
void action_take(struct stream *s, const char *text, size_t len);

#endif
