/* SPDX-License-Identifier: PostgreSQL
 * A worker with a socket and no database, for targets that say something to it. Its loop is turned
 * here, without threads. Look-ups of "good" succeed, all others are unknown; a position is always
 * too old, nothing is kept for who comes, and what becomes of a message says its length. */
#ifndef PGHERALD_TESTS_FUZZ_SERVED_H
#define PGHERALD_TESTS_FUZZ_SERVED_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "web/worker.h"

/* By that configuration; what is wrong aborts. Not to be stopped. */
struct worker *served_start(const char *conf_text);
/* A connection that leaves no port in TIME_WAIT behind; -1 when there is none to be had. */
int served_connect(void);
/* One turn of everything; what has come out of `fd` is appended to `got`. Whether something has. */
bool served_turn(int fd, struct buf *got);
/* Until nothing is left of all that had been connected. */
void served_settle(void);

#endif
