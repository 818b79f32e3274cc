/* SPDX-License-Identifier: PostgreSQL
 * The roles that own what is installed, and that nobody can log in as. The build puts these lists
 * where a file of sql/ says {{owner_literals}} or {{owner_names}}. */
#ifndef PGHERALD_SQL_OWNERS_H
#define PGHERALD_SQL_OWNERS_H

#define OWNER_LITERALS "'pgherald_owner', 'pgherald_teller', 'pgherald_auth'"
#define OWNER_NAMES    "pgherald_owner, pgherald_teller, pgherald_auth"

#endif
