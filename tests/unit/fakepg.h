/* SPDX-License-Identifier: PostgreSQL
 * A server that speaks as much of PostgreSQL's protocol as pg/ needs, in the test's own loop: each
 * byte of an answer, and what comes in one packet with it, is the test's to say. */
#ifndef PGHERALD_TESTS_FAKEPG_H
#define PGHERALD_TESTS_FAKEPG_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/loop.h"

#define FAKEPG_PEERS  4
#define FAKEPG_PARAMS 16

struct fakepg;

/* A connection of a client. */
struct fakepg_peer {
	struct fakepg *server;
	struct loop_fd fd;
	bool used, started;
	struct buf in, out;
	char statement[8192]; /* what is to be executed: its text, or its name if it has one */
	char *params[FAKEPG_PARAMS];
	size_t n_params;
	bool execute;	     /* the client wants a result and not only to prepare */
	unsigned n_prepared; /* statements, on all of its life */
};

/* Answers a statement with the functions below, fakepg_ready() last, and fakepg_flush(). Without a
 * fakepg_flush() the answer waits. */
typedef void fakepg_answer_fn(struct fakepg *f, struct fakepg_peer *p, const char *statement);

struct fakepg {
	struct loop *loop;
	struct loop_fd listener;
	char dir[64];
	char conninfo[256];
	struct fakepg_peer peers[FAKEPG_PEERS];
	unsigned n_accepted;
	bool refuse;	   /* whoever connects from now on */
	unsigned standbys; /* so many connections find a standby first */
	fakepg_answer_fn *answer;
	void *arg;
};

void fakepg_start(struct fakepg *f, struct loop *loop, fakepg_answer_fn *answer, void *arg);
void fakepg_stop(struct fakepg *f);
/* Rows of fields parted by "|"; "-" is NULL. */
void fakepg_rows(struct fakepg_peer *p, size_t n_columns, const char *const *rows, size_t n_rows);
void fakepg_command(struct fakepg_peer *p);
/* `table` is that of the error's fields, or NULL. */
void fakepg_error(struct fakepg_peer *p, const char *sqlstate, const char *message,
		  const char *table);
void fakepg_notify(struct fakepg_peer *p, const char *channel, const char *payload);
void fakepg_ready(struct fakepg_peer *p);
/* Sends all of that at once. */
void fakepg_flush(struct fakepg_peer *p);
/* Ends the connection without a word. */
void fakepg_hang_up(struct fakepg_peer *p);

#endif
