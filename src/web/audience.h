/* SPDX-License-Identifier: PostgreSQL
 * Which channels a client of a route hears: those of the route, filled in from its path, its query
 * and who he is, and those that he asks for besides. */
#ifndef PGHERALD_WEB_AUDIENCE_H
#define PGHERALD_WEB_AUDIENCE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/mem.h"
#include "hub/scope.h"
#include "wire/pattern.h"

struct conf;
struct conf_route;
struct query;

/* Sets what `who` hears by channels. 0, or the status of a refusal with a sentence in `why`: what
 * is no channel is nowhere, and what his role may not hear is forbidden. `values` are those of the
 * path's variables. */
unsigned audience_set(struct principal *who, const struct conf *conf,
		      const struct conf_route *route,
		      const struct pattern_piece values[PATTERN_VARIABLES_MAX],
		      const struct query *query, struct buf *why) MUST_CHECK;

#endif
