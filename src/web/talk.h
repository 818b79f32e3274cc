/* SPDX-License-Identifier: PostgreSQL
 * What the client of a WebSocket says: read as it comes, bounded in bytes and messages a second,
 * answered. Who says more is read more slowly, and let go when he does not stop. Pings are
 * answered, and whoever answers none of ours has gone. What a message means is action.h's affair.
 */
#ifndef PGHERALD_WEB_TALK_H
#define PGHERALD_WEB_TALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/mem.h"

struct stream;
struct renewal;
struct room;
struct talk;

/* Nothing has been heard yet; the time in seconds on the loop's clock. */
struct talk *talk_new(uint32_t now_s, struct room *room);
void talk_free(struct talk *t);
/* Bytes that it holds of what its client has said. */
size_t talk_held(const struct talk *t);
/* What has come behind the handshake and is in the socket no more. */
void talk_add_early(struct talk *t, const char *bytes, size_t len);
/* The stream's socket has something: its `ready`. May close the stream. */
void talk_ready(struct stream *s, uint32_t events);
/* A second has passed: who was slowed is read again. May close the stream. */
void talk_tick(struct stream *s);
/* Whether its client has not been heard for so long that he is not there. */
bool talk_is_silent(const struct stream *s, uint32_t now_s) MUST_CHECK;
/* Whether nothing is under way between it and us, half a frame or an answer, that who goes on with
 * the connection would not know. */
bool talk_rests(struct talk *t) MUST_CHECK;
/* Since when its client has not been heard, in seconds; and that it has been heard then. */
uint32_t talk_silent_s(const struct talk *t, uint32_t now_s);
void talk_set_heard(struct talk *t, uint32_t at_s);
/* Where a credential stands that its client has sent, while it is looked up: see action_renew.c. */
struct renewal **talk_renewal(struct talk *t);
/* What its client has said and is being published: struct post_publish, by `said`. While that is
 * much no more is read. */
struct talk_said {
	struct list list;
	unsigned n;
};
struct talk_said *talk_said(struct talk *t);
/* Whether what has been said last must be answered before any more is read. */
void talk_wait(struct talk *t, bool waits);
/* Something has been answered: reads on if it may. May close the stream. */
void talk_go_on(struct stream *s);
/* We have said that we close. */
void talk_closes(struct talk *t);
/* ... and the client has not. */
bool talk_awaits_close(const struct talk *t) MUST_CHECK;

#endif
