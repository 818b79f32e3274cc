/* SPDX-License-Identifier: PostgreSQL
 * Who asks: the client behind the connection, as far as listed proxies say it, his token or his
 * session's cookie, and the page that made the request. Nothing is looked up here. */
#ifndef PGHERALD_WEB_ASKER_H
#define PGHERALD_WEB_ASKER_H

#include <microhttpd.h>
#include <stdbool.h>

#include "auth/place.h"
#include "base/address.h"
#include "base/mem.h"
#include "web/caller.h"

struct conf;
struct conf_auth;
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

/* A credential in the URL: the parameter's name and value; NULL when it has none. */
struct asker_url {
	const char *name, *value;
};

/* What a request brought, and which of its route's doors that is for. */
struct asker_credential {
	unsigned door;
	const struct conf_auth *auth; /* the door's section; with no token the first door's */
	char *token;  /* the caller frees; NULL when there is none, or none that a door takes */
	bool strange; /* there is one, and no door takes it */
	enum place_kind place; /* where it was; with no token where the first door looks first */
};

/* The doors are asked in order, and the first that finds a credential decides: if it is a bad one,
 * no other is asked. */
void asker_present(const struct asker *a, struct MHD_Connection *c, const struct conf *conf,
		   const struct conf_route *route, const struct asker_url *url,
		   struct asker_credential *ret);
/* The door, by its name, that takes a token which stands in no place of a request; or NULL. */
const char *asker_door_for(const struct conf *conf, const struct conf_route *route,
			   const char *token) MUST_CHECK;
/* Whether some door of the route takes a credential in that parameter of the URL. */
bool asker_takes_url(const struct conf *conf, const struct conf_route *route,
		     const char *name) MUST_CHECK;
/* ... or would without query_token = no. */
bool asker_would_take_url(const struct conf *conf, const struct conf_route *route,
			  const char *name) MUST_CHECK;
/* Whether nobody comes in without a credential. */
bool asker_must_show(const struct conf *conf, const struct conf_route *route) MUST_CHECK;
/* Whether the page that made the request may use a cookie here. */
bool asker_page_allowed(struct MHD_Connection *c, const struct conf *conf) MUST_CHECK;
/* A header's value, or NULL; blanks behind it may be left. */
const char *asker_header(struct MHD_Connection *c, const char *name);
/* The same without them (RFC 9110 section 5.5); the caller frees. */
char *asker_value(struct MHD_Connection *c, const char *name);

#endif
