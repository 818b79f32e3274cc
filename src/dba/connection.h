/* SPDX-License-Identifier: PostgreSQL
 * The connection of whoever administers the database, and a script run over it. */
#ifndef PGHERALD_DBA_CONNECTION_H
#define PGHERALD_DBA_CONNECTION_H

#include <libpq-fe.h>
#include <stdbool.h>

#include "dba/script.h"

/* A connection, which the caller finishes; NULL after saying on stderr why not. */
PGconn *connection_open(const char *conninfo);
/* The same; for root over a local socket as that system user, if there is one, since peer
 * authentication goes by who connects: `sudo -u USER` without sudo. */
PGconn *connection_open_as(const char *conninfo, const char *system_user);
/* The same, for root and a conninfo that names no host: as the user it names, else as postgres,
 * like `sudo -u postgres psql`. The configuration, which root has read, need not be his to read. */
PGconn *connection_open_admin(const char *conninfo);
/* Runs the steps in order over one connection, a line per step on stdout; a step whose locks cannot
 * be had is tried again. False after saying on stderr what failed. */
bool connection_apply(const struct script *s, const char *conninfo) MUST_CHECK;

#endif
