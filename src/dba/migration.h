/* SPDX-License-Identifier: PostgreSQL
 * The same SQL for a migration tool, and what lets a role without rights run it. */
#ifndef PGHERALD_DBA_MIGRATION_H
#define PGHERALD_DBA_MIGRATION_H

#include "conf.h"
#include "dba/script.h"

/* What install and uninstall do, as text for a transaction that is under way: it neither begins nor
 * ends it, and leaves the session's settings and role as it found them. The role of the
 * application, which runs it as a rule, is granted nothing, not even what its dumps need. */
bool migration_install(struct script *s, const struct conf *conf, const char *only) MUST_CHECK;
bool migration_uninstall(struct script *s, const struct conf *conf, const char *only) MUST_CHECK;
/* What an administrator runs once, so that `installer` may install. False after saying what is
 * wrong. */
bool migration_roles(struct script *s, const struct conf *conf, const char *installer) MUST_CHECK;

#endif
