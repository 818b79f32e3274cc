/* SPDX-License-Identifier: PostgreSQL
 * Two workers with real sockets and threads of their own; the test plays the database thread.
 * Every wait is for a letter or for bytes; the limits below only turn a hang into a failure. */
#ifndef PGHERALD_TESTS_RIG_H
#define PGHERALD_TESTS_RIG_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/inbox.h"
#include "base/list.h"
#include "base/loop.h"
#include "conf.h"
#include "hub/event.h"
#include "hub/post.h"
#include "hub/registry.h"
#include "web/worker.h"

#define RIG_WORKERS 2
#define RIG_WAIT_S  120 /* seconds until a test that waits has failed */
#define RIG_TOKENS  16

struct rig_token {
	char token[16], user_id[16], role[16];
	enum lookup_verdict verdict;
	bool hold; /* the letter goes to rig_take() instead */
};

struct rig {
	struct conf *conf;
	struct commons commons;
	struct inbox *inboxes[RIG_WORKERS];
	struct registry *registry; /* of the commons */
	struct worker *workers[RIG_WORKERS];
	unsigned ports[RIG_WORKERS]; /* one for each, so that a test knows who serves it */

	struct loop *loop; /* the database thread's */
	struct inbox inbox;
	pthread_t thread;
	uint64_t loss;	      /* of the positions posted */
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t arrived;
	struct list letters; /* those the test has to deal with */
	struct rig_token tokens[RIG_TOKENS];
	size_t n_tokens;
};

/* Parses `text` and starts everything. No event has been posted yet. */
void rig_start(struct rig *r, const char *text);
/* Stops the threads and frees all; what the test has not taken is dropped. */
void rig_stop(struct rig *r);
/* From now on a look-up of `token` is answered so. */
void rig_token(struct rig *r, const char *token, enum lookup_verdict verdict, const char *user_id,
	       const char *role);
/* From now on look-ups of `token` wait for rig_take(). */
void rig_hold(struct rig *r, const char *token);
/* The next letter of that kind, waiting for it. The caller's. */
struct letter *rig_take(struct rig *r, int kind);
void rig_answer(struct rig *r, struct post_lookup *l, enum lookup_verdict verdict,
		const char *user_id, const char *role);
/* A letter of its own for every worker. */
void rig_post_all(struct rig *r, int kind);
void rig_post_conf(struct rig *r, const char *text);
void rig_post_database(struct rig *r, bool up);

/* An update of topic "estimate" with document {"n":<txid>}, its cursor right behind it. */
struct event *rig_event(uint64_t txid, const char *before, const char *after);
/* A row that says: the rights of these users or sessions have changed; "" is everybody. */
struct event *rig_rights(uint64_t txid, const char *users);
/* Posts the list (whose references it takes) to all workers; the position moves behind
 * `last_txid`. */
void rig_publish(struct rig *r, struct event **events, size_t n, uint64_t last_txid);
/* The same with one event of rig_event(). */
void rig_publish_one(struct rig *r, uint64_t txid, const char *before, const char *after);
/* The first letter, or one after a gap: nothing up to `floor` is known. */
void rig_restart(struct rig *r, uint64_t floor);
/* The id of the position "all up to txid". */
const char *rig_cursor(uint64_t txid, struct cursor_text *out);

/* A client on a blocking socket. */
struct client {
	int fd;
	struct buf got;
	bool eof;
};

void client_open(struct client *c, unsigned port, int rcvbuf);
void client_send(struct client *c, const char *text);
/* A GET with that token and further header lines (or ""). */
void client_get(struct client *c, unsigned port, const char *path, const char *token,
		const char *headers);
/* A stream at /events/ that has begun; the second one where a client stopped that had got all up to
 * `txid`. */
void client_stream(struct client *c, unsigned port, const char *token, const char *headers);
void client_resume(struct client *c, unsigned port, const char *token, uint64_t txid);
/* The same of a client that takes little at once, for one that is to stall. */
void client_stream_slowly(struct client *c, unsigned port, const char *token);
/* One read; false at the end of the stream. */
bool client_read(struct client *c);
/* Reads until `text` has come; fails at the end of the stream. */
void client_wait(struct client *c, const char *text);
/* Reads to the end of the stream. */
void client_wait_end(struct client *c);
bool client_has(const struct client *c, const char *text);
/* The numbers of the documents received, in order, as "1 2 3". */
const char *client_numbers(const struct client *c, struct buf *out);
/* Fails unless these are they. */
void client_is_told(const struct client *c, const char *numbers);
void client_close(struct client *c);

#endif
