/* SPDX-License-Identifier: PostgreSQL
 * What the function of a route's authorize is asked about somebody, and what its answer means to
 * him. Who is asked about is the letter's `who`, with the channels that he wants to hear. */
#ifndef PGHERALD_WEB_PERMISSION_H
#define PGHERALD_WEB_PERMISSION_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/mem.h"
#include "hub/post.h"

struct conf_route;

/* Whether somebody who wants to come in at a route is asked about. */
bool permission_is_asked(const struct conf_route *route) MUST_CHECK;
/* Makes a letter, which may be a look-up that was good, the question about its `who`. */
void permission_question(struct post_lookup *l, const struct conf_route *route);
/* The same of somebody like `who` with these channels (taken). */
struct principal *permission_about(const struct principal *who, struct keys *channels);
/* An HTTP status and a sentence for who may not, or 0 for who may. */
unsigned permission_refusal(const struct post_lookup *l, struct buf *why);

#endif
