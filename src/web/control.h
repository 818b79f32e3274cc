/* SPDX-License-Identifier: PostgreSQL
 * What somebody posts to a stream of his own: that it hears more, or less. The stream is another
 * worker's, perhaps, so a letter goes there and comes back. */
#ifndef PGHERALD_WEB_CONTROL_H
#define PGHERALD_WEB_CONTROL_H

#include <microhttpd.h>
#include <stdbool.h>

#include "base/mem.h"

struct conf;
struct conf_route;
struct inbox;
struct post_choice;
struct post_lookup;
struct publication;
struct worker;

/* Whose stream "WORKER.NUMBER" is, and its number; NULL when there is no such worker. */
struct inbox *control_find(const struct worker *w, const char *name,
			   uint64_t *ret_number) MUST_CHECK;
/* A letter to the stream `name` about the body of `p`, for whom `l` is about; or NULL when the
 * answer has been given as `*ret`. `*ret_to` gets it. */
struct post_choice *control_begin(const struct publication *p, struct worker *w,
				  struct MHD_Connection *c, const struct conf *conf,
				  const struct conf_route *route, const struct post_lookup *l,
				  const char *name, struct inbox **ret_to,
				  enum MHD_Result *ret) MUST_CHECK;
/* The answer, when the letter has come back, or is NULL: then in vain. */
enum MHD_Result control_answer(const struct post_choice *l, struct MHD_Connection *c,
			       const struct conf *conf, const char *name);
/* The letter has come to the worker of the stream: it is done, and goes back. */
void control_take(struct worker *w, struct post_choice *l);

#endif
