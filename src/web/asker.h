/* SPDX-License-Identifier: PostgreSQL
 * Who asks: the client behind the connection, as far as listed proxies say it, his token or his
 * session's cookie, and the page that made the request. Nothing is looked up here. */
#ifndef PGHERALD_WEB_ASKER_H
#define PGHERALD_WEB_ASKER_H

#include <microhttpd.h>
#include <stdbool.h>

#include "base/address.h"
#include "base/mem.h"
#include "web/caller.h"

struct conf;
struct conf_route;

struct asker {
	const struct caller *caller; /* whose connection it is */
	struct address client;	     /* none: a proxy asks, and does not say for whom */
};

void asker_find(struct asker *a, struct MHD_Connection *c, const struct conf *conf,
		const struct caller *caller);
/* For the log: with the port when it is the client's own connection. */
void asker_text(const struct asker *a, char out[CALLER_PEER_MAX]);
/* Whether a listed proxy asks and does not say for whom. */
bool asker_is_nameless(const struct asker *a, const struct conf *conf) MUST_CHECK;
/* To whose account failures go: the client's, or that of the proxy which does not say his. */
const struct address *asker_account(const struct asker *a);
/* Whether the route's credential is a cookie, which browsers send by themselves. */
bool asker_by_cookie(const struct conf *conf, const struct conf_route *route) MUST_CHECK;
/* Whether the page that made the request may use a session here; without cookies every page. */
bool asker_page_allowed(struct MHD_Connection *c, const struct conf *conf,
			const struct conf_route *route) MUST_CHECK;
/* A copy of the credential, or NULL. `in_url` is the query's, NULL when it has none. */
char *asker_token(struct MHD_Connection *c, const struct conf *conf, const struct conf_route *route,
		  const char *in_url) MUST_CHECK;
/* A header's value, or NULL. */
const char *asker_header(struct MHD_Connection *c, const char *name);

#endif
