/* SPDX-License-Identifier: PostgreSQL
 * `pgherald sql install`: the whole text, or that of one watch. Never connects. */
#ifndef PGHERALD_DBA_INSTALL_H
#define PGHERALD_DBA_INSTALL_H

#include "conf.h"
#include "dba/objects.h"
#include "dba/script.h"

/* Adds steps for the whole configuration or, unless `only` is NULL, one watch. False after saying
 * on stderr what is wrong with the configuration. */
bool install_script(struct script *s, const struct conf *conf, const char *only) MUST_CHECK;
/* Without the step that lets roles of the application dump their database. */
bool install_without_dump(struct script *s, const struct conf *conf, const char *only) MUST_CHECK;
/* Those of them that make something; the first is the core. */
bool install_pieces(struct script *s, const struct conf *conf, const char *only) MUST_CHECK;
/* What it makes, for `check`; objects_free() releases. */
bool install_objects(struct objects *r, const struct conf *conf) MUST_CHECK;

#endif
