/* SPDX-License-Identifier: PostgreSQL
 * What a stream hears besides, or no more, from here on: channels, topics and types that its client
 * names, over its WebSocket or in a request of its own. */
#ifndef PGHERALD_WEB_CHOICE_H
#define PGHERALD_WEB_CHOICE_H

#include "base/buf.h"
#include "base/mem.h"
#include "hub/subscription.h"
#include "wire/scan.h"

struct conf;
struct filter;
struct stream;

enum choice_verdict {
	CHOICE_OK,
	CHOICE_INVALID,	   /* it names nothing, or what is none */
	CHOICE_FORBIDDEN,  /* a channel that the role, or this user, may not hear */
	CHOICE_NOTHING,	   /* a channel that is none to the route's function */
	CHOICE_TOO_MANY,   /* more than a stream may choose */
	CHOICE_NOT_CHOSEN, /* the stream hears all there is of that kind */
	CHOICE_NO_STREAM,  /* none of that user's */
	CHOICE_UNAVAILABLE,
	CHOICE_FULL, /* as many hear the channel as the route allows */
};

/* Zeroed before; choice_clear() releases. */
struct choice {
	struct filter *filter;
	struct subscription channels;
};

/* Reads {"channel", "channels", "topics", "types"}. */
enum choice_verdict choice_read(struct choice *c, struct scan data, const struct conf *conf,
				struct buf *why) MUST_CHECK;
void choice_clear(struct choice *c);
/* The stream hears that as well, from its position on, behind what is kept for who comes. */
enum choice_verdict choice_add(struct stream *s, struct choice *c, struct buf *why) MUST_CHECK;
/* The channels among them of which the route's function must be asked first; the caller frees. NULL
 * for none; then choice_add() says whether he may. */
struct keys *choice_asks(const struct stream *s, const struct choice *c);
/* ... or no more. */
enum choice_verdict choice_drop(struct stream *s, struct choice *c, struct buf *why) MUST_CHECK;
/* "topics": …, "types": …, "channels": …: what the stream hears by now. */
void choice_put(const struct stream *s, struct buf *b);
/* A word for programs, and an HTTP status. */
const char *choice_word(enum choice_verdict v);
unsigned choice_status(enum choice_verdict v);

#endif
