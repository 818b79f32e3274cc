/* SPDX-License-Identifier: PostgreSQL
 * See commons.h. */
#include "config.h"
#include "web/commons.h"

void commons_init(struct commons *c)
{
	c->registry = registry_new();
	lobby_init(&c->lobby);
	tally_init(&c->tally);
}

void commons_free(struct commons *c)
{
	tally_free(&c->tally);
	lobby_free(&c->lobby);
	registry_free(c->registry);
}
