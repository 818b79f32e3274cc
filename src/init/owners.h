/* SPDX-License-Identifier: PostgreSQL
 * Whose the rows of a table are, by what refers to what: a guess. Pure. */
#ifndef PGHERALD_INIT_OWNERS_H
#define PGHERALD_INIT_OWNERS_H

#include "base/buf.h"
#include "init/catalog.h"
#include "init/django.h"

/* The `owners` of a [watch] for the i-th table, into `out`, and in a line for the reader why; NULL
 * when nothing says whose its rows are. */
const char *owners_guess(struct buf *out, const struct catalog *c, const struct django *d,
			 size_t i);
/* Whether the table is the application's own and can be watched. */
bool owners_of_application(const struct catalog *c, const struct django *d, size_t i) MUST_CHECK;
/* Whether it has but a key and what refers to two tables: it stands between them. */
bool owners_is_between(const struct table *t) MUST_CHECK;
/* A name that the configuration can hold: quotes are fine, control characters are not. */
bool owners_sayable(const char *name) MUST_CHECK;

#endif
