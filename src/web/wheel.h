/* SPDX-License-Identifier: PostgreSQL
 * The streams of a worker by the second in which their next keep-alive is due. */
#ifndef PGHERALD_WEB_WHEEL_H
#define PGHERALD_WEB_WHEEL_H

struct stream;
struct worker;

/* Its first time; one that was handed over has a time already. */
void wheel_begin(struct worker *w, struct stream *s);
/* The second `wheel_s` has come: sends them to those that are due, and puts these where they are
 * due next. */
void wheel_turn(struct worker *w);

#endif
