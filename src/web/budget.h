/* SPDX-License-Identifier: PostgreSQL
 * What all clients together may take of the memory, over all workers: [server] client_memory. Each
 * worker has a count of its own (base/ledger.h), so that nobody waits for anybody. */
#ifndef PGHERALD_WEB_BUDGET_H
#define PGHERALD_WEB_BUDGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/ledger.h"
#include "base/mem.h"

#define BUDGET_WORKERS 256 /* as many as may be configured */

/* About what a stream takes for which nothing waits; what a WebSocket's takes besides. */
#define BUDGET_STREAM 1024
#define BUDGET_TALK   1024

struct budget_part {
	struct ledger ledger;
	_Atomic uint64_t most; /* that waits for one of its clients, when it has last looked */
	char apart[112];       /* from the next one's: they are written by other processors */
};

struct budget {
	_Atomic uint64_t max; /* bytes; 0: any number */
	_Atomic unsigned n;   /* workers that have begun */
	struct budget_part *parts;
};

void budget_init(struct budget *b);
void budget_free(struct budget *b);
void budget_limit(struct budget *b, uint64_t max);
/* On a worker's thread, before it takes anything. */
void budget_enter(struct budget *b, unsigned worker);
/* Bytes that are taken now. */
uint64_t budget_used(const struct budget *b);
/* Whether so many more may be taken. */
bool budget_allows(const struct budget *b, uint64_t more) MUST_CHECK;
/* What waits for the slowest of a worker's clients, and of all others'. */
void budget_note_most(struct budget *b, unsigned worker, uint64_t bytes);
uint64_t budget_most_elsewhere(const struct budget *b, unsigned worker);

#endif
