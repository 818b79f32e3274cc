/* SPDX-License-Identifier: PostgreSQL
 * What all workers share, each with a lock of its own that is taken when a client comes or goes. */
#ifndef PGHERALD_WEB_COMMONS_H
#define PGHERALD_WEB_COMMONS_H

#include "auth/attempts.h"
#include "hub/registry.h"
#include "hub/vitals.h"
#include "web/budget.h"
#include "web/lobby.h"
#include "web/pace.h"
#include "web/tally.h"
#include "web/tickets.h"

struct inbox;
struct departure;

struct commons {
	char server[9];		/* this process among others: random hexadecimal digits */
	struct inbox **workers; /* theirs; not owned */
	size_t n_workers;
	struct registry *registry;
	struct lobby lobby;
	struct attempts *attempts;
	struct pace *pace;
	struct budget budget;
	struct tally tally;
	struct tickets tickets;
	struct vitals vitals;
	/* Set before POST_DRAIN when live streams go to the next process. */
	struct departure *departure;
};

void commons_init(struct commons *c);
/* After the workers. */
void commons_free(struct commons *c);

#endif
