/* SPDX-License-Identifier: PostgreSQL
 * A configuration's parts, each rendered to a step: the core, a watch, an auth. */
#ifndef PGHERALD_DBA_PIECES_H
#define PGHERALD_DBA_PIECES_H

#include "conf.h"
#include "dba/script.h"

/* Whether the configuration has the watch `only`, or `only` is NULL; otherwise says so on stderr.
 */
bool pieces_know(const struct conf *conf, const char *only) MUST_CHECK;
void pieces_core(struct script *s, const struct conf *conf);
/* What makes a watch, or what takes it out. False after saying on stderr what is wrong with the
 * configuration, as the next three. */
bool pieces_watch(struct script *s, const struct conf *conf, const struct conf_watch *w,
		  bool install) MUST_CHECK;
/* All of them, or the one that `only` names. */
bool pieces_watches(struct script *s, const struct conf *conf, const char *only,
		    bool install) MUST_CHECK;
bool pieces_auth(struct script *s, const struct conf *conf, const struct conf_auth *a) MUST_CHECK;
/* What a route asks of the application, if it does. */
bool pieces_authorize(struct script *s, const struct conf *conf,
		      const struct conf_route *r) MUST_CHECK;

#endif
