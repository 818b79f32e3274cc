/* SPDX-License-Identifier: PostgreSQL
 * Who is connected, over all workers: a letter that each adds its streams to, in turn. It counts
 * them, lists them, or ends one. */
#ifndef PGHERALD_WEB_ROLL_H
#define PGHERALD_WEB_ROLL_H

#include <microhttpd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "web/query.h"
#include "wire/pattern.h"

struct conf;
struct conf_route;
struct post_roll;
struct worker;

/* The letter for what a route asks; `values` are those of its path. NULL, and a sentence in `why`,
 * when no list has such a page. */
struct post_roll *roll_new(const struct conf_route *route,
			   const struct pattern_piece values[PATTERN_VARIABLES_MAX],
			   const struct query_page *page, struct buf *why) MUST_CHECK;
/* A worker adds its own, and sends it on. */
void roll_pass(struct worker *w, struct post_roll *l);
/* The answer, when the letter has come back, or is NULL: then in vain. */
enum MHD_Result roll_answer(struct MHD_Connection *c, const struct conf *conf,
			    const struct post_roll *l);

#endif
