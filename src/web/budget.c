/* SPDX-License-Identifier: PostgreSQL
 * See budget.h. */
#include "config.h"
#include "web/budget.h"

#include <assert.h>
#include <stdlib.h>

void budget_init(struct budget *b)
{
	atomic_init(&b->max, 0);
	atomic_init(&b->n, 0);
	b->parts = xcalloc(BUDGET_WORKERS, sizeof(*b->parts));
}

void budget_free(struct budget *b)
{
	free(b->parts);
}

void budget_limit(struct budget *b, uint64_t max)
{
	atomic_store_explicit(&b->max, max, memory_order_relaxed);
}

void budget_enter(struct budget *b, unsigned worker)
{
	unsigned n = atomic_load_explicit(&b->n, memory_order_relaxed);

	assert(worker < BUDGET_WORKERS);
	while (n <= worker &&
	       !atomic_compare_exchange_weak_explicit(&b->n, &n, worker + 1, memory_order_release,
						      memory_order_relaxed))
		;
	ledger_use(&b->parts[worker].ledger);
}

uint64_t budget_used(const struct budget *b)
{
	unsigned n = atomic_load_explicit(&b->n, memory_order_acquire);
	int64_t sum = ledger_of_others();

	for (unsigned i = 0; i < n; i++)
		sum += ledger_read(&b->parts[i].ledger);
	return sum > 0 ? (uint64_t)sum : 0;
}

bool budget_allows(const struct budget *b, uint64_t more)
{
	uint64_t max = atomic_load_explicit(&b->max, memory_order_relaxed), used;

	if (!max)
		return true;
	used = budget_used(b);
	return used <= max && more <= max - used;
}

void budget_note_most(struct budget *b, unsigned worker, uint64_t bytes)
{
	atomic_store_explicit(&b->parts[worker].most, bytes, memory_order_relaxed);
}

uint64_t budget_most_elsewhere(const struct budget *b, unsigned worker)
{
	unsigned n = atomic_load_explicit(&b->n, memory_order_acquire);
	uint64_t most = 0;

	for (unsigned i = 0; i < n; i++) {
		uint64_t bytes = atomic_load_explicit(&b->parts[i].most, memory_order_relaxed);

		if (i != worker && bytes > most)
			most = bytes;
	}
	return most;
}
