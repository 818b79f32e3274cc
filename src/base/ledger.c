/* SPDX-License-Identifier: PostgreSQL
 * See ledger.h. */
#include "config.h"
#include "base/ledger.h"

#include <stddef.h>

static _Thread_local struct ledger *mine;
static struct ledger others;

void ledger_use(struct ledger *l)
{
	mine = l;
}

void ledger_add(int64_t bytes)
{
	if (mine) /* no locked instruction: nobody else writes here */
		atomic_store_explicit(&mine->bytes,
				      atomic_load_explicit(&mine->bytes, memory_order_relaxed) +
					      bytes,
				      memory_order_relaxed);
	else
		atomic_fetch_add_explicit(&others.bytes, bytes, memory_order_relaxed);
}

int64_t ledger_read(const struct ledger *l)
{
	return atomic_load_explicit(&l->bytes, memory_order_relaxed);
}

int64_t ledger_of_others(void)
{
	return ledger_read(&others);
}
