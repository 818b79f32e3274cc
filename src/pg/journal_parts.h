/* SPDX-License-Identifier: PostgreSQL
 * The listener, between the files of journal.h: it listens and is rung (journal.c), looks
 * (journal_look.c), and hands on what it has found (journal_hand.c). */
#ifndef PGHERALD_PG_JOURNAL_PARTS_H
#define PGHERALD_PG_JOURNAL_PARTS_H

#include "pg/journal.h"

/* journal_look.c */

/* Begins a look. */
void journal_fetch(struct journal *j);
/* Finds the position to begin from, then looks. */
void journal_find_start(struct journal *j);
/* Goes on with the plan that there is, or with a new one. */
void journal_go_on(struct journal *j);
/* What has been told aside, between two looks: then the position says all that was told. */
void journal_take_aside(struct journal *j);

/* journal_hand.c */

/* Now, in seconds of Unix time. */
int64_t journal_unix_now(void);
/* Takes the events and the list. */
void journal_hand_on(struct journal *j, struct event **events, size_t n, bool restart,
		     uint64_t floor, const struct cursor_text *text);
/* An event that stands in no journal, or is for nobody's eyes: the position stays. NULL is none. */
void journal_hand_on_one(struct journal *j, struct event *e);
/* A resync that belongs to no row, as a list of one. */
struct event **journal_resync(struct journal *j, const char *reason, const char *cursor);
/* A failed capture was counted, but its transaction may not have committed yet: clients are told
 * to refetch at once and again when every transaction of that moment has ended. */
void journal_check_loss(struct journal *j, uint64_t loss, uint64_t xmin, uint64_t xmax,
			struct cursor_text *text);
/* Nothing can be read. The connection is made anew after a pause that grows, and the log says once
 * what to do. */
void journal_give_up(struct journal *j, const PGresult *r, const char *why);
/* Whether it has caught up: said when it changes. */
void journal_set_ready(struct journal *j, bool ready);

#endif
