/* SPDX-License-Identifier: PostgreSQL
 * See asker.h. */
#include "config.h"
#include "web/asker.h"

#include <string.h>
#include <strings.h>

#include "auth/credential.h"
#include "auth/jwt.h"
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

const char *asker_header(struct MHD_Connection *c, const char *name)
{
	return MHD_lookup_connection_value(c, MHD_HEADER_KIND, name);
}

bool asker_page_allowed(struct MHD_Connection *c, const struct conf *conf)
{
	return origin_may_use_cookie(asker_header(c, "Origin"), asker_header(c, "Host"),
				     asker_header(c, "Sec-Fetch-Site"), conf->cors_origins.items,
				     conf->cors_origins.n);
}

static const struct conf_auth *door_of(const struct conf *conf, const struct conf_route *route,
				       size_t i)
{
	return conf_find_auth(conf, route->auth.items[i]);
}

bool asker_takes_url(const struct conf *conf, const struct conf_route *route)
{
	for (size_t i = 0; i < route->auth.n; i++)
		if (verifiers[door_of(conf, route, i)->preset].place == PLACE_AUTHORIZATION)
			return true;
	return false;
}

static char *from_cookie(struct MHD_Connection *c, const struct conf_auth *a)
{
	const char *text = asker_header(c, "Cookie"), *token;
	size_t len;

	token = text ? credential_from_cookie(text, a->cookie, &len) : NULL;
	return token ? xstrndup(token, len) : NULL;
}

static const char *from_header(struct MHD_Connection *c, const char *in_url)
{
	const char *text = asker_header(c, "Authorization");
	const char *token = text ? credential_from_header(text) : NULL;

	return token ? token : in_url;
}

/* What everybody has: a name for those of one address. */
static char *from_address(const struct asker *a)
{
	char text[ADDRESS_TEXT_MAX];

	address_text(asker_account(a), text);
	return xasprintf("anonymous@%s", text);
}

static bool takes(const struct conf_auth *a, const char *token)
{
	const struct verifier *v = &verifiers[a->preset];

	return (!v->takes || v->takes(token)) &&
	       (!v->jwt || !*a->issuer || jwt_says_issuer(token, a->issuer));
}

void asker_present(const struct asker *a, struct MHD_Connection *c, const struct conf *conf,
		   const struct conf_route *route, const char *in_url, struct asker_credential *ret)
{
	const char *in_header = from_header(c, in_url);

	*ret = (struct asker_credential){.auth = door_of(conf, route, 0)};
	for (unsigned i = 0; i < route->auth.n; i++) {
		const struct conf_auth *auth = door_of(conf, route, i);
		enum verifier_place place = verifiers[auth->preset].place;
		char *token = NULL;

		/* One that was not taken is not passed over for what stands elsewhere. */
		if (ret->strange && place != PLACE_AUTHORIZATION)
			continue;
		if (place == PLACE_COOKIE)
			token = from_cookie(c, auth);
		else if (place == PLACE_NOWHERE)
			token = from_address(a);
		else if (in_header && !takes(auth, in_header))
			ret->strange = true;
		else if (in_header)
			token = xstrdup(in_header);
		if (!token)
			continue;
		*ret = (struct asker_credential){i, auth, token, false};
		return;
	}
}
