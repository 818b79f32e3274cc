/* SPDX-License-Identifier: PostgreSQL
 * Reads rows of the application's tables. PostgreSQL plans that with the rights of whoever reads,
 * a superuser's mostly, and runs constant parts of indexes, constraints and statistics meanwhile:
 * so it is done only where nobody gets more by it than he has. */
#ifndef PGHERALD_INIT_ROWS_H
#define PGHERALD_INIT_ROWS_H

#include <libpq-fe.h>
#include <stddef.h>

#include "init/catalog.h"

/* The rows of a query on these tables of the catalog; NULL when it fails, without harm to what
 * comes after it, or after saying on stderr whose code would run. The caller clears it. */
PGresult *rows_read(PGconn *db, const struct catalog *c, const size_t *tables, size_t n,
		    const char *sql);

#endif
