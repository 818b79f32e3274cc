/* SPDX-License-Identifier: PostgreSQL
 * Replay from the journal, for clients that were away for longer than the ring reaches back. One
 * connection serves them in turn, a page each, so that a long replay does not hold up others. */
#ifndef PGHERALD_PG_REPLAY_H
#define PGHERALD_PG_REPLAY_H

#include "base/list.h"
#include "base/loop.h"
#include "hub/post.h"
#include "pg/conn.h"
#include "pg/fetch.h"

struct replayer {
	struct conn conn;
	struct list waiting; /* struct post_replay */
	struct post_replay *current;
	bool careful; /* its plan is asked for without a page: that has failed */
	struct fetch_limits limits;
};

/* `max_bytes` bounds what one transaction may be. */
void replay_start(struct replayer *r, struct loop *loop, const char *conninfo, uint64_t max_bytes);
void replay_stop(struct replayer *r);
/* Takes the letter: a new one (plan NULL) or one sent back for more. It goes back to its reply_to
 * with a verdict. */
void replay_ask(struct replayer *r, struct post_replay *p);

#endif
