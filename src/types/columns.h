/* SPDX-License-Identifier: PostgreSQL
 * The types of watched columns, and of those that names come from, as the database's catalog has
 * them. Reads nothing of the application's. */
#ifndef PGHERALD_TYPES_COLUMNS_H
#define PGHERALD_TYPES_COLUMNS_H

#include <libpq-fe.h>
#include <stdbool.h>

#include "base/mem.h"
#include "types/topics.h"

/* Sets every field's shape; false after saying on stderr what is not there. */
bool columns_look(PGconn *db, struct topics *t) MUST_CHECK;

#endif
