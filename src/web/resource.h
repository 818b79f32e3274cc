/* SPDX-License-Identifier: PostgreSQL
 * What stands at a path: a route of the configuration, or what every daemon answers to everybody.
 */
#ifndef PGHERALD_WEB_RESOURCE_H
#define PGHERALD_WEB_RESOURCE_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"
#include "wire/pattern.h"

#define RESOURCE_NONE "Not found." /* to the client, with a 404 */

struct conf;
struct conf_route;
struct worker;

struct resource {
	const struct conf_route *route; /* or NULL: */
	enum MHD_Result (*answer)(struct worker *w, struct MHD_Connection *c);
	const char *method; /* what it is for */
	const char *allow;  /* all it answers to, as the Allow header has them */
};

/* To who came with another method; the caller frees. */
char *resource_complaint(const struct resource *r);
/* By the target of a request behind its percent-decoding, without its query; `ret_values` are those
 * of the path's variables and point into it. False when there is nothing. */
bool resource_at(struct resource *ret, const struct conf *conf, const char *target,
		 struct pattern_piece ret_values[PATTERN_VARIABLES_MAX]) MUST_CHECK;
/* The same by the target as it stands in the request line. */
bool resource_named(struct resource *ret, const struct conf *conf, const char *target,
		    size_t len) MUST_CHECK;

#endif
