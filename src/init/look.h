/* SPDX-License-Identifier: PostgreSQL
 * Reads a catalog from a server. Asks the system catalogs only, and of the application's tables
 * the labels of its content types and the names of its roles. Writes nothing. */
#ifndef PGHERALD_INIT_LOOK_H
#define PGHERALD_INIT_LOOK_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"
#include "init/catalog.h"
#include "init/django.h"

#define LOOK_MAX_VALUES 12 /* roles; more are no roles */

/* Begins the transaction, read only and of one snapshot, in which the others look; false after
 * saying on stderr why not. */
bool look_begin(PGconn *db) MUST_CHECK;
/* Every table that somebody made; false after saying on stderr what went wrong. */
bool look_tables(PGconn *db, struct catalog *c) MUST_CHECK;
/* The labels of Django's applications, into c->apps; none when they cannot be read. */
void look_apps(PGconn *db, struct catalog *c);
/* The different values of a role's column, or with groups the names of groups that have members, at
 * most LOOK_MAX_VALUES of them, by name; NULL-terminated, the caller frees each and the list. NULL
 * when they cannot be read, or are more. */
char **look_roles(PGconn *db, const struct catalog *c, const struct django *d, bool groups);

#endif
