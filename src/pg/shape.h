/* SPDX-License-Identifier: PostgreSQL
 * Whether the watched tables are still what the configuration says: tables, columns, triggers; and
 * whether those of tokens and users still tell when rights end. Asks the catalogs only, and neither
 * needs more rights than the daemon has nor locks anything. */
#ifndef PGHERALD_PG_SHAPE_H
#define PGHERALD_PG_SHAPE_H

#include <stdbool.h>

#include "base/loop.h"
#include "conf.h"
#include "pg/conn.h"

struct shape_watch {
	char *problem; /* NULL while it is whole */
	char *print;   /* what its table is made of; NULL while there is none */
	bool known;    /* it has been looked at */
	bool emptied;  /* TRUNCATE was told, and gives it another file */
	bool suspect;  /* it looked like another table the last time */
};

struct shape {
	struct conn *conn; /* that of the look-ups; not owned */
	struct loop *loop;
	struct loop_timer timer;
	struct conf *conf;	     /* a reference */
	struct shape_watch *watches; /* one for each watch of conf; owned */
	char **doors;		     /* the problem of each [auth] of conf, or NULL; owned */
	char *told;		     /* the problems that were handed on last; NULL: none yet */
	bool away, again;	     /* a look is under way; another one is wanted after it */
	uint64_t looked_ms;
	bool complained; /* about a look that failed */
	/* What is wrong now, each problem a line; "" when all is well. */
	void (*changed)(void *arg, const char *lines);
	void *arg;
};

void shape_start(struct shape *s, struct loop *loop, struct conn *conn, struct conf *conf,
		 void (*changed)(void *arg, const char *lines), void *arg);
void shape_stop(struct shape *s);
/* `conf` replaces the one before; looks at once. */
void shape_reload(struct shape *s, struct conf *conf);
/* Something hints that it has changed: looks, unless it has just done so. */
void shape_hint(struct shape *s);
/* Clients of this topic have been told that its table was emptied. */
void shape_emptied(struct shape *s, const char *topic);
/* The connection is there: looks, before anything else is asked on it. */
void shape_up(struct shape *s);

#endif
