/* SPDX-License-Identifier: PostgreSQL
 * The connection of whoever administers the database, and a script run over it. */
#ifndef PGHERALD_DBA_CONNECTION_H
#define PGHERALD_DBA_CONNECTION_H

#include <libpq-fe.h>
#include <stdbool.h>

#include "dba/script.h"

/* A connection, which the caller finishes; NULL after saying on stderr why not. */
PGconn *connection_open(const char *conninfo);
/* Runs the steps in order over one connection, a line per step on stdout; a step whose locks cannot
 * be had is tried again. False after saying on stderr what failed. */
bool connection_apply(const struct script *s, const char *conninfo) MUST_CHECK;

#endif
