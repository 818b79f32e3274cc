/* SPDX-License-Identifier: PostgreSQL
 * What an open stream is to hear besides, where the function of its route is asked first. */
#ifndef PGHERALD_WEB_JOINING_H
#define PGHERALD_WEB_JOINING_H

#include <stdint.h>

#include "base/buf.h"
#include "web/choice.h"

struct post_choice;
struct stream;
struct worker;

struct joining {
	struct worker *worker;
	uint64_t stream; /* its number: it may have gone meanwhile */
	struct choice choice;
	char *request_id;	    /* of a WebSocket's client; owned … */
	struct post_choice *letter; /* … or of a request; owned */
	/* What has come of it, with a sentence when it is not CHOICE_OK. `s` is NULL when the
	 * stream has gone. May take the letter, and end the stream. */
	void (*done)(struct joining *j, struct stream *s, enum choice_verdict v, struct buf *why);
};

/* Asks whether the stream may hear these channels (taken), and then chooses `c`, which is empty
 * behind this. What it returns is to be filled in. */
struct joining *joining_begin(struct stream *s, struct choice *c, struct keys *channels);

#endif
