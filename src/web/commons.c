/* SPDX-License-Identifier: PostgreSQL
 * See commons.h. */
#include "config.h"
#include "web/commons.h"

#include <stdlib.h>

#include "base/mem.h"

void commons_init(struct commons *c)
{
	c->registry = registry_new();
	lobby_init(&c->lobby);
	c->attempts = xcalloc(1, sizeof(*c->attempts));
	attempts_init(c->attempts);
	c->pace = xcalloc(1, sizeof(*c->pace));
	pace_init(c->pace);
	tally_init(&c->tally);
}

void commons_free(struct commons *c)
{
	tally_free(&c->tally);
	lobby_free(&c->lobby);
	attempts_free(c->attempts);
	free(c->attempts);
	pace_free(c->pace);
	free(c->pace);
	registry_free(c->registry);
}
