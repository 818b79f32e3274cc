/* SPDX-License-Identifier: PostgreSQL
 * The letters that a worker gets: what each of them does. */
#ifndef PGHERALD_WEB_LETTERS_H
#define PGHERALD_WEB_LETTERS_H

struct letter;
struct list;

/* For the inbox of a worker, `arg`: takes all of them, and flushes what they have queued. */
void letters_take(void *arg, struct list *letters);
/* One that nobody reads any more. */
void letters_drop(struct letter *l);

#endif
