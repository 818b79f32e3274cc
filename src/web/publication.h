/* SPDX-License-Identifier: PostgreSQL
 * What somebody posts to be published: the body as it comes, what it says, whether he may, and the
 * answer. */
#ifndef PGHERALD_WEB_PUBLICATION_H
#define PGHERALD_WEB_PUBLICATION_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "hub/post.h"
#include "hub/room.h"

struct conf;
struct conf_route;
struct worker;

#define CHOICE_MAX ((size_t)64 << 10) /* bytes of a body that says what a stream is to hear */

struct publication {
	struct buf body;
	struct room_part part;	     /* of the worker's room */
	struct post_publish *letter; /* away, or answered; NULL when there is none */
};

/* 0, or the status of a refusal with a sentence: what it is for is no channel, or nothing that
 * this role may publish to. */
unsigned publication_check(const struct conf *conf, const struct principal *who,
			   const struct posting *m, struct buf *why) MUST_CHECK;
/* Makes room for a user's body of that length, 0 for none, in which there is JSON; false when the
 * answer has been given as `*ret`. */
bool publication_expect(struct publication *p, struct worker *w, struct MHD_Connection *c,
			const struct conf *conf, const struct conf_route *route, const char *user,
			uint64_t len, enum MHD_Result *ret) MUST_CHECK;
/* More of the body has come. */
void publication_add(struct publication *p, const char *bytes, size_t len);
/* Reads the body, for a principal whose role may use the route: a letter to post in p->letter, or
 * 0 when the answer has been given as `*ret`. */
bool publication_begin(struct publication *p, struct worker *w, struct MHD_Connection *c,
		       const struct conf *conf, const struct conf_route *route,
		       const struct principal *who, enum MHD_Result *ret) MUST_CHECK;
/* The answer, when the letter has come back, or is NULL: then in vain. */
enum MHD_Result publication_answer(struct publication *p, struct MHD_Connection *c,
				   const struct conf *conf);
/* A letter that is away throws itself away when it comes back. */
void publication_clear(struct publication *p, struct worker *w, bool away);

#endif
