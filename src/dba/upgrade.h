/* SPDX-License-Identifier: PostgreSQL
 * `pgherald sql upgrade`: what of an install may be run without any lock on a table: functions, and
 * the rights they need. */
#ifndef PGHERALD_DBA_UPGRADE_H
#define PGHERALD_DBA_UPGRADE_H

#include "conf.h"
#include "dba/script.h"

/* The steps refuse to run on a schema of another version than this program's. False after saying on
 * stderr what is wrong with the configuration. */
bool upgrade_script(struct script *s, const struct conf *conf, const char *only) MUST_CHECK;

#endif
