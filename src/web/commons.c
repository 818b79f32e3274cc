/* SPDX-License-Identifier: PostgreSQL
 * See commons.h. */
#include "config.h"
#include "web/commons.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/siphash.h"

void commons_init(struct commons *c)
{
	snprintf(c->server, sizeof(c->server), "%08x", (unsigned)siphash_key_new().k[0]);
	c->registry = registry_new();
	lobby_init(&c->lobby);
	c->attempts = xcalloc(1, sizeof(*c->attempts));
	attempts_init(c->attempts);
	c->pace = xcalloc(1, sizeof(*c->pace));
	pace_init(c->pace);
	budget_init(&c->budget);
	tally_init(&c->tally);
	tickets_init(&c->tickets);
	for (size_t i = 0; i < N_TRANSPORTS; i++) {
		atomic_init(&c->vitals.streams[i], 0);
		atomic_init(&c->vitals.opened[i], 0);
	}
	atomic_init(&c->vitals.doorbell_taken, 0);
	atomic_init(&c->vitals.refused, 0);
	atomic_init(&c->vitals.dropped, 0);
}

void commons_free(struct commons *c)
{
	tickets_free(&c->tickets);
	tally_free(&c->tally);
	budget_free(&c->budget);
	lobby_free(&c->lobby);
	attempts_free(c->attempts);
	free(c->attempts);
	pace_free(c->pace);
	free(c->pace);
	registry_free(c->registry);
}
