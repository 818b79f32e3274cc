/* SPDX-License-Identifier: PostgreSQL
 * Replay from the journal, for clients that were away for longer than the ring reaches back. One
 * connection serves users in turn, a statement each, so that neither a long replay nor many of one
 * user hold up others. */
#ifndef PGHERALD_PG_REPLAY_H
#define PGHERALD_PG_REPLAY_H

#include "base/complaint.h"
#include "base/list.h"
#include "base/loop.h"
#include "conf.h"
#include "hub/post.h"
#include "pg/conn.h"
#include "pg/fetch.h"

struct replay_turn;

struct replayer {
	struct conn conn;
	struct conf *conf; /* a reference */
	struct fetch_limits limits;
	struct list turns; /* struct replay_turn, one for each user: who comes next is the first */
	struct replay_turn *users; /* the same by user id */
	struct post_replay *current;
	struct complaint failures;
};

void replay_start(struct replayer *r, struct loop *loop, struct conf *conf);
/* `conf` replaces the one before. */
void replay_reload(struct replayer *r, struct conf *conf);
void replay_stop(struct replayer *r);
/* Takes the letter: a new one (plan NULL) or one sent back for more. It goes back to its reply_to
 * with a verdict. */
void replay_ask(struct replayer *r, struct post_replay *p);

#endif
