/* SPDX-License-Identifier: PostgreSQL
 * Who holds one of our advisory locks, for the log. Every role of the database may take them, by
 * accident or not: nothing waits for them, and the log says whom to ask. */
#ifndef PGHERALD_PG_HOLDER_H
#define PGHERALD_PG_HOLDER_H

#include <stdatomic.h>
#include <stdint.h>

#include "pg/conn.h"

struct holder {
	struct conn *conn;
	const char *key;     /* the lock's second number, as text */
	const char *follows; /* what the log says follows from its being held */
	unsigned patience;
	bool asking;
	uint64_t n_refused; /* so often in a row it was not to be had */
	uint64_t ask_at;    /* then the server is asked who has it */
	int pid;	    /* whom the log has named; 0 = nobody */
	atomic_int *named;  /* the same for who watches, or NULL */
};

/* `patience`: so often in a row it may be somebody's who has just taken it for a moment. */
void holder_init(struct holder *h, struct conn *conn, const char *key, unsigned patience,
		 const char *follows);
/* It was not to be had: after a few times in a row, and every so often later, the log names who has
 * it, unless it is another daemon. */
void holder_refused(struct holder *h);
/* It was to be had. */
void holder_had(struct holder *h);

#endif
