/* SPDX-License-Identifier: PostgreSQL
 * The tickets that this daemon has given and nobody has come for: so many in all, of a user, from
 * an address. One that is taken at another daemon counts until it would have ended. Its own lock.
 */
#ifndef PGHERALD_WEB_TICKETS_H
#define PGHERALD_WEB_TICKETS_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/list.h"
#include "base/mem.h"
#include "web/tally.h"

struct conf;
struct ticket_given;
struct ticket_holder;

struct tickets {
	pthread_mutex_t lock;
	struct list given; /* in the order of their end */
	struct ticket_given *by_name;
	struct ticket_holder *holders; /* users and addresses that have some */
	size_t n;
};

void tickets_init(struct tickets *t);
void tickets_free(struct tickets *t);
/* Counts one under the name that it is kept under; N_TALLIES, or which limit it would be beyond.
 * `now_ms` is any clock that does not jump. */
enum tally_reason tickets_give(struct tickets *t, const struct conf *conf, const char *name,
			       const char *user_id, const struct address *from,
			       uint64_t now_ms) MUST_CHECK;
/* It has been taken, or could not be kept. Nothing happens when it is not known. */
void tickets_forget(struct tickets *t, const char *name);

#endif
