/* SPDX-License-Identifier: PostgreSQL
 * What of a row a person can read, and what nobody must be shown. Pure. */
#ifndef PGHERALD_INIT_FIELDS_H
#define PGHERALD_INIT_FIELDS_H

#include <stdbool.h>

#include "base/mem.h"
#include "init/catalog.h"

/* The `fields` of a [watch] for this table; the caller frees. */
char *fields_guess(const struct catalog *c, const struct table *t);
/* Whether its primary key is among them: a watch needs that. */
bool fields_show_key(const struct table *t) MUST_CHECK;
/* Whether a column's name sounds like something that nobody must be shown. */
bool fields_is_secret(const char *column) MUST_CHECK;

#endif
