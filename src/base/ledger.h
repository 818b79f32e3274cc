/* SPDX-License-Identifier: PostgreSQL
 * Bytes that are held for others, counted where memory is taken and given back, deep down, where
 * nobody knows for whom. Each thread that says so has a count of its own, which others read: who
 * takes and who gives back need not be the same, so only the sum of all means something. */
#ifndef PGHERALD_BASE_LEDGER_H
#define PGHERALD_BASE_LEDGER_H

#include <stdatomic.h>
#include <stdint.h>

struct ledger {
	_Atomic int64_t bytes; /* written by its thread alone; below 0 where others take */
};

/* From now on this thread counts there; NULL: where all threads without one do. */
void ledger_use(struct ledger *l);
/* So many bytes have been taken, or, below 0, given back. */
void ledger_add(int64_t bytes);
int64_t ledger_read(const struct ledger *l);
/* The count of the threads without one. */
int64_t ledger_of_others(void);

#endif
