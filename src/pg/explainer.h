/* SPDX-License-Identifier: PostgreSQL
 * Answers "why did he get that, or not?": finds the rows in the journal, has them told as clients
 * are told, asks the doors about the user, and the functions of routes; over a connection of its
 * own, which is made when it is first needed, one question after the other. */
#ifndef PGHERALD_PG_EXPLAINER_H
#define PGHERALD_PG_EXPLAINER_H

#include "base/inbox.h"
#include "base/list.h"
#include "base/loop.h"
#include "conf.h"
#include "hub/post.h"
#include "pg/authorizer.h"
#include "pg/conn.h"
#include "pg/explanation.h"

struct explainer {
	struct conn conn;
	struct loop *loop;
	struct conf *conf; /* a reference */
	bool started;
	struct list waiting; /* struct post_explain */
	size_t n_waiting;
	struct post_explain *asked; /* under way; NULL: none */
	struct conf *asked_conf;    /* that it is answered by; a reference */
	struct explanation x;
	size_t next_door; /* that an answer is for */
	struct authorizer *authorizer;
	struct inbox inbox; /* for what it answers */
	size_t n_away;	    /* questions to it; it has them */
};

/* `authorizer` asks the functions of routes, and is stopped before this is. False with errno. */
bool explainer_init(struct explainer *e, struct loop *loop, struct conf *conf,
		    struct authorizer *authorizer) MUST_CHECK;
/* `changed`: the connection is to be made anew. */
void explainer_reload(struct explainer *e, struct conf *conf, bool changed);
void explainer_stop(struct explainer *e);
/* Takes the letter; it goes to its reply_to with a verdict. */
void explainer_ask(struct explainer *e, struct post_explain *l);

#endif
