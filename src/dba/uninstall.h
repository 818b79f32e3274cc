/* SPDX-License-Identifier: PostgreSQL
 * `pgherald sql uninstall`: all of it, or one watch with the rights that it alone had. */
#ifndef PGHERALD_DBA_UNINSTALL_H
#define PGHERALD_DBA_UNINSTALL_H

#include "conf.h"
#include "dba/script.h"

/* False after saying on stderr what is wrong with the configuration. */
bool uninstall_script(struct script *s, const struct conf *conf, const char *only) MUST_CHECK;

#endif
