/* SPDX-License-Identifier: PostgreSQL
 * See asker.h. */
#include "config.h"
#include "web/asker.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "auth/api_key.h"
#include "auth/credential.h"
#include "auth/jwt.h"
#include "auth/origin.h"
#include "conf.h"
#include "web/upgrade.h"

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

bool asker_takes_url(const struct conf *conf, const struct conf_route *route, const char *name)
{
	return route->query_token && asker_would_take_url(conf, route, name);
}

bool asker_would_take_url(const struct conf *conf, const struct conf_route *route, const char *name)
{
	const struct place url = {PLACE_QUERY, name};

	for (size_t i = 0; i < route->auth.n; i++) {
		const struct conf_auth *a = door_of(conf, route, i);

		for (size_t k = 0; k < a->n_where; k++)
			if (place_same(&a->where[k], &url))
				return true;
	}
	return false;
}

bool asker_must_show(const struct conf *conf, const struct conf_route *route)
{
	for (size_t i = 0; i < route->auth.n; i++)
		if (door_of(conf, route, i)->preset == PRESET_NONE)
			return false;
	return true;
}

/* A request, while its credential is looked for. */
struct search {
	struct MHD_Connection *connection;
	const struct asker_url *url;
	const struct place *strange; /* where one stood that a door has not taken */
};

static char *from_cookie(struct MHD_Connection *c, const char *name)
{
	const char *text = asker_header(c, "Cookie"), *token;
	size_t len;

	token = text ? credential_from_cookie(text, name, &len) : NULL;
	return token ? xstrndup(token, len) : NULL;
}

char *asker_value(struct MHD_Connection *c, const char *name)
{
	const char *text = asker_header(c, name);
	size_t len = text ? strlen(text) : 0;

	while (len && (text[len - 1] == ' ' || text[len - 1] == '\t'))
		len--;
	return text ? xstrndup(text, len) : NULL;
}

/* A scheme that only API keys have is for no other door. */
static char *from_header(struct MHD_Connection *c, const struct conf_auth *a, bool *ret_strange)
{
	enum credential_scheme scheme = SCHEME_TOKEN;
	autofree char *text = asker_value(c, "Authorization");
	const char *token = text ? credential_from_header(text, &scheme) : NULL;
	char *copied = token ? xstrdup(token) : NULL;

	*ret_strange = token && scheme == SCHEME_API_KEY && a->preset != PRESET_APIKEY;
	if (text)
		explicit_bzero(text, strlen(text));
	return copied;
}

/* It may be several headers (RFC 6455 section 11.3.4). */
static char *from_protocol(struct MHD_Connection *c)
{
	autobuf list = upgrade_header_list(c, "Sec-WebSocket-Protocol");
	size_t len;
	const char *token = credential_from_protocol(buf_cstr(&list), &len);
	char *copied = token ? xstrndup(token, len) : NULL;

	if (list.data)
		explicit_bzero(list.data, list.len);
	return copied;
}

static char *copy(const char *token)
{
	return token ? xstrdup(token) : NULL;
}

struct named {
	const char *name;
	unsigned n;
};

static enum MHD_Result count_named(void *arg, enum MHD_ValueKind kind, const char *name,
				   const char *value)
{
	struct named *all = arg;

	(void)kind;
	(void)value;
	all->n += !strcasecmp(name, all->name);
	return MHD_YES;
}

/* Of two, one server on the way would take the first, another the last: so neither is one. */
static char *from_own_header(struct MHD_Connection *c, const char *name)
{
	struct named all = {name, 0};

	MHD_get_connection_values(c, MHD_HEADER_KIND, count_named, &all);
	return all.n > 1 ? xstrdup("") : asker_value(c, name);
}

static bool takes(const struct conf_auth *a, const char *token)
{
	const struct verifier *v = &verifiers[a->preset];

	if (a->api_keys)
		return api_keys_may_have(a->api_keys, token);
	return (!v->takes || v->takes(token)) &&
	       (!v->jwt || !*a->issuer || jwt_says_issuer(token, a->issuer));
}

const char *asker_door_for(const struct conf *conf, const struct conf_route *route,
			   const char *token)
{
	for (size_t i = 0; i < route->auth.n; i++) {
		const struct conf_auth *a = door_of(conf, route, i);

		if (a->preset != PRESET_NONE && a->preset != PRESET_TICKET &&
		    a->preset != PRESET_SESSION && takes(a, token))
			return a->name;
	}
	return NULL;
}

/* What stands there, if the door takes it; the caller frees. */
static char *look(struct search *s, const struct conf_auth *a, const struct place *place)
{
	bool strange = false;
	char *token = NULL;

	switch (place->kind) {
	case PLACE_NOWHERE:
		break;
	case PLACE_COOKIE:
		token = from_cookie(s->connection, place->name);
		break;
	case PLACE_AUTHORIZATION:
		token = from_header(s->connection, a, &strange);
		break;
	case PLACE_QUERY:
		if (s->url->name && !strcmp(s->url->name, place->name))
			token = copy(s->url->value);
		break;
	case PLACE_HEADER:
		token = from_own_header(s->connection, place->name);
		break;
	case PLACE_PROTOCOL:
		token = from_protocol(s->connection);
		break;
	}
	if (!token || (!strange && takes(a, token)))
		return token;
	s->strange = place;
	free(token);
	return NULL;
}

/* What everybody has: a name for those of one address. */
static char *from_address(const struct asker *a)
{
	const struct address *from = asker_account(a);
	struct address block = address_is_loopback(from) ? *from : address_block(from);
	char text[ADDRESS_TEXT_MAX];

	address_text(&block, text);
	return xasprintf("anonymous@%s", text);
}

void asker_present(const struct asker *a, struct MHD_Connection *c, const struct conf *conf,
		   const struct conf_route *route, const struct asker_url *url,
		   struct asker_credential *ret)
{
	static const struct place nowhere = {PLACE_NOWHERE, NULL};
	struct search s = {.connection = c, .url = url};
	const struct conf_auth *first = door_of(conf, route, 0);

	for (unsigned i = 0; i < route->auth.n; i++) {
		const struct conf_auth *auth = door_of(conf, route, i);
		const struct place *place = auth->n_where ? auth->where : &nowhere;
		const struct place *end = place + (auth->n_where ? auth->n_where : 1);

		for (; place < end; place++) {
			char *token;

			/* One that was not taken is not passed over for what stands elsewhere. */
			if (s.strange && !place_same(s.strange, place))
				continue;
			token = place->kind == PLACE_NOWHERE ? from_address(a)
							     : look(&s, auth, place);
			if (!token)
				continue;
			*ret = (struct asker_credential){i, auth, token, false, place->kind};
			return;
		}
	}
	*ret = (struct asker_credential){
		.auth = first,
		.strange = s.strange != NULL,
		.place = first->n_where ? first->where[0].kind : PLACE_NOWHERE,
	};
}
