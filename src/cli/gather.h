/* SPDX-License-Identifier: PostgreSQL
 * From a configuration to the SQL of a command, as steps. Never connects. */
#ifndef PGHERALD_CLI_GATHER_H
#define PGHERALD_CLI_GATHER_H

#include "cli/rendered.h"
#include "cli/steps.h"
#include "conf.h"

/* Each adds steps for the whole configuration or, unless `only` is NULL, one watch. False after
 * saying on stderr what is wrong with the configuration. */
bool gather_install(struct steps *s, const struct conf *conf, const char *only) MUST_CHECK;
/* Functions and the rights they need, nothing that locks a table. */
bool gather_upgrade(struct steps *s, const struct conf *conf, const char *only) MUST_CHECK;
bool gather_uninstall(struct steps *s, const struct conf *conf, const char *only) MUST_CHECK;
/* How everything should be, for `check`; rendered_free() releases. */
bool gather_wanted(struct rendered *r, const struct conf *conf) MUST_CHECK;

#endif
