/* SPDX-License-Identifier: PostgreSQL
 * Whose page a browser's request comes from. A browser adds cookies by itself, also to what
 * another site's page asks for: where a cookie is the credential, the page must be one of ours. */
#ifndef PGHERALD_AUTH_ORIGIN_H
#define PGHERALD_AUTH_ORIGIN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"

/* Whether `origin` itself is on the list; "*" stands for nobody here. */
bool origin_listed(const char *origin, char *const *list, size_t n) MUST_CHECK;
/* What is wrong with one as it stands in a list, as the end of a sentence; NULL for nothing.
 * Browsers write an origin in one way (RFC 6454 section 6.2), and another spelling would be
 * nobody's. */
const char *origin_complaint(const char *text) MUST_CHECK;
/* Whether a request with these headers (NULL when it has not) may come in by cookie: from a page
 * of the same host, from a listed origin, or from no page at all. */
bool origin_may_use_cookie(const char *origin, const char *host, const char *sec_fetch_site,
			   char *const *list, size_t n) MUST_CHECK;

#endif
