/* SPDX-License-Identifier: PostgreSQL
 * What a route with kind = explain is asked: the letter that goes to the database and then to every
 * worker, each of which adds the streams that the user has there, and the answer. */
#ifndef PGHERALD_WEB_INQUIRY_H
#define PGHERALD_WEB_INQUIRY_H

#include <microhttpd.h>

#include "base/buf.h"
#include "hub/post.h"

struct conf;
struct query;
struct worker;

/* The letter for what a query asks; NULL with a sentence in `why` when that is no question. */
struct post_explain *inquiry_new(const struct query *q, struct buf *why) MUST_CHECK;
/* Adds what is known here and sends it on: to the next worker, or home. */
void inquiry_pass(struct worker *w, struct post_explain *l);
/* `l` may be NULL: there was no answer in time. */
enum MHD_Result inquiry_answer(struct MHD_Connection *c, const struct conf *conf,
			       const struct post_explain *l);

#endif
