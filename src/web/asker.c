/* SPDX-License-Identifier: PostgreSQL
 * See asker.h. */
#include "config.h"
#include "web/asker.h"

#include <string.h>
#include <strings.h>

#include "auth/credential.h"
#include "auth/origin.h"
#include "conf.h"

struct reading {
	enum forwarded_header kind;
	struct forwarded hops;
};

static enum MHD_Result read_forwarded(void *arg, enum MHD_ValueKind kind, const char *name,
				      const char *value)
{
	static const char *const names[] = {
		[FORWARDED_X_FOR] = "X-Forwarded-For", [FORWARDED_RFC] = "Forwarded"};
	struct reading *r = arg;

	(void)kind;
	if (value && !strcasecmp(name, names[r->kind]))
		forwarded_add(&r->hops, r->kind, value);
	return MHD_YES;
}

void asker_find(struct asker *a, struct MHD_Connection *c, const struct conf *conf,
		const struct caller *caller)
{
	struct reading r = {.kind = (enum forwarded_header)conf->client_address};

	if (forwarded_trusts(&conf->trust, &caller->address))
		MHD_get_connection_values(c, MHD_HEADER_KIND, read_forwarded, &r);
	a->caller = caller;
	a->client = forwarded_client(&r.hops, &conf->trust, &caller->address);
}

void asker_text(const struct asker *a, char out[CALLER_PEER_MAX])
{
	if (address_is_none(&a->client) ||
	    !memcmp(&a->client, &a->caller->address, sizeof(a->client)))
		caller_peer(a->caller, out);
	else
		address_text(&a->client, out);
}

bool asker_is_nameless(const struct asker *a, const struct conf *conf)
{
	return address_is_none(&a->client) && forwarded_trusts(&conf->trust, &a->caller->address);
}

const struct address *asker_account(const struct asker *a)
{
	return address_is_none(&a->client) ? &a->caller->address : &a->client;
}

bool asker_by_cookie(const struct conf *conf, const struct conf_route *route)
{
	const struct conf_auth *a = conf_find_auth(conf, route->auth);

	return a && a->preset == PRESET_SESSION;
}

const char *asker_header(struct MHD_Connection *c, const char *name)
{
	return MHD_lookup_connection_value(c, MHD_HEADER_KIND, name);
}

bool asker_page_allowed(struct MHD_Connection *c, const struct conf *conf,
			const struct conf_route *route)
{
	return !asker_by_cookie(conf, route) ||
	       origin_may_use_cookie(asker_header(c, "Origin"), asker_header(c, "Host"),
				     asker_header(c, "Sec-Fetch-Site"), conf->cors_origins.items,
				     conf->cors_origins.n);
}

char *asker_token(struct MHD_Connection *c, const struct conf *conf, const struct conf_route *route,
		  const char *in_url)
{
	const struct conf_auth *a = conf_find_auth(conf, route->auth);
	const char *text, *token;
	size_t len;

	if (a && a->preset == PRESET_SESSION) {
		text = asker_header(c, "Cookie");
		token = text ? credential_from_cookie(text, a->cookie, &len) : NULL;
		return token ? xstrndup(token, len) : NULL;
	}
	text = asker_header(c, "Authorization");
	token = text ? credential_from_header(text) : NULL;
	token = token ? token : in_url;
	return token ? xstrdup(token) : NULL;
}
