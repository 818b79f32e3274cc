/* SPDX-License-Identifier: PostgreSQL
 * `pgherald sql prune`: what the daemon does by itself, by hand. */
#ifndef PGHERALD_DBA_PRUNE_H
#define PGHERALD_DBA_PRUNE_H

#include <stdbool.h>

#include "conf.h"

/* Prints the statement, or runs it until nothing is left to delete. The exit status. */
int prune_run(const struct conf *conf, const char *conninfo, bool apply, bool json);

#endif
