/* SPDX-License-Identifier: PostgreSQL
 * Asks functions of the application whether somebody may hear a channel (authorize in [route]).
 * Each route has a connection of its own, made when it is first needed: what a function does to its
 * session, or how long it takes, is nobody else's affair. */
#ifndef PGHERALD_PG_AUTHORIZER_H
#define PGHERALD_PG_AUTHORIZER_H

#include "base/list.h"
#include "base/loop.h"
#include "conf.h"
#include "hub/post.h"
#include "hub/vitals.h"

struct authorizer {
	struct loop *loop;
	struct conf *conf;     /* a reference */
	struct vitals *vitals; /* or NULL */
	struct list lines;     /* one for each route that has asked */
};

void authorizer_init(struct authorizer *a, struct loop *loop, struct conf *conf,
		     struct vitals *vitals);
/* `conf` replaces the one before; `changed` when connections are to be made anew. */
void authorizer_reload(struct authorizer *a, struct conf *conf, bool changed);
/* What waits is answered LOOKUP_UNAVAILABLE. */
void authorizer_stop(struct authorizer *a);
/* Takes a POST_AUTHORIZE; it goes back to its reply_to with a verdict. */
void authorizer_ask(struct authorizer *a, struct post_lookup *l);

#endif
