/* SPDX-License-Identifier: PostgreSQL
 * What one line alone cannot tell about [auth] sections, and about the doors of a route. See
 * check_auth() in parser.h. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "auth/jwk.h"
#include "base/mem.h"
#include "conf/parser.h"
#include "net/download.h"

#define DOORS_MAX 8

static void preset_list(struct conf_list *setting, const char *item)
{
	if (setting->n)
		return;
	setting->items = xcalloc(1, sizeof(*setting->items));
	setting->items[setting->n++] = xstrdup(item);
}

static void preset_column(char **setting, const char *def, const char *preset)
{
	if (strcmp(*setting, def) != 0)
		return;
	free(*setting);
	*setting = xstrdup(preset);
}

/* The preset's names where the file says nothing else. */
static void apply_preset(struct conf_auth *a)
{
	if (a->users == USERS_PRESET)
		a->users = a->preset == PRESET_SUPABASE ? USERS_CLAIMS : USERS_TABLE;
	switch (a->preset) {
	case PRESET_KNOX:
		preset_column(&a->token_table, "public.authtoken_token", "public.knox_authtoken");
		preset_column(&a->token_column, "key", "digest");
		preset_column(&a->token_expires, "", "expiry");
		break;
	case PRESET_SESSION:
		preset_column(&a->token_table, "public.authtoken_token", "public.django_session");
		preset_column(&a->token_column, "key", "session_key");
		preset_column(&a->token_expires, "", "expire_date");
		break;
	case PRESET_SIMPLEJWT: /* a refresh token is one too, and must not open anything */
		preset_column(&a->user_claim, "sub", "user_id");
		preset_list(&a->claims, "token_type=access");
		break;
	case PRESET_SUPABASE:
		preset_column(&a->audience, "", "authenticated");
		break;
	case PRESET_APIKEY:
		preset_column(&a->token_table, "public.authtoken_token", "public.api_key");
		preset_column(&a->token_column, "key", "hash");
		break;
	default:
		break;
	}
}

static bool check_session(struct parser *p, const struct conf_auth *a, unsigned line)
{
	if (!*a->secret_key_file)
		return parser_fail(
			p, line,
			"[auth %s] preset = session needs secret_key_file, a file with the "
			"SECRET_KEY that Django signs with",
			a->name);
	if (*a->secret_key_file != '/')
		return parser_fail(p, line, "[auth %s] secret_key_file must begin with /", a->name);
	return true;
}

static bool add_place(struct parser *p, struct conf_auth *a, const char *text, unsigned line)
{
	if (a->n_where == PLACES_MAX)
		return parser_fail(p, line, "[auth %s] places has more than %d", a->name,
				   PLACES_MAX);
	if (!place_parse(text, &a->where[a->n_where]))
		return parser_fail(p, line,
				   "[auth %s] places: \"%.80s\" is not authorization, query, "
				   "query:NAME, cookie:NAME, header:NAME or protocol",
				   a->name, text);
	a->n_where++;
	return true;
}

/* Where it looks, by the file or by its kind. */
static bool check_places(struct parser *p, struct conf_auth *a, unsigned line)
{
	const struct verifier *v = &verifiers[a->preset];

	a->n_where = 0;
	if (a->preset == PRESET_SESSION) {
		autofree char *text = xasprintf("cookie:%s", a->cookie);

		if (!place_parse(text, &a->where[0]))
			return parser_fail(p, line, "[auth %s] cookie is no name of a cookie",
					   a->name);
		a->where[a->n_where++].name = a->cookie;
		return true;
	}
	for (size_t i = 0; !a->places.n && i < sizeof(v->places) / sizeof(*v->places); i++)
		if (v->places[i] && !add_place(p, a, v->places[i], line))
			return false;
	for (size_t i = 0; i < a->places.n; i++)
		if (!add_place(p, a, a->places.items[i], line))
			return false;
	return true;
}

static bool check_api_key(struct parser *p, const struct conf_auth *a, unsigned line)
{
	if (*a->key_file && *a->key_file != '/')
		return parser_fail(p, line, "[auth %s] key_file must begin with /", a->name);
	if (!*a->key_file && a->users == USERS_CLAIMS)
		return parser_fail(p, line,
				   "[auth %s] users = claims needs a key_file, whose lines say "
				   "who has which role",
				   a->name);
	return true;
}

static bool check_jwks_url(struct parser *p, const struct conf_auth *a, unsigned line)
{
	const struct jwa *alg = jwa_find(a->algorithm);

	if (!downloads_possible())
		return parser_fail(p, line,
				   "[auth %s] jwks_url: this pgherald was built without libcurl; "
				   "fetch the set yourself, and name it as key_file",
				   a->name);
	if (*a->key_file)
		return parser_fail(p, line, "[auth %s] has key_file and jwks_url: one of them",
				   a->name);
	if (!download_url_valid(a->jwks_url))
		return parser_fail(p, line,
				   "[auth %s] jwks_url must be https://HOST[:PORT]/PATH, without a "
				   "user's name; http:// is for 127.0.0.1, [::1] and localhost",
				   a->name);
	if (*a->jwks_ca_file && *a->jwks_ca_file != '/')
		return parser_fail(p, line, "[auth %s] jwks_ca_file must begin with /", a->name);
	if (alg && alg->family == JWA_HMAC)
		return parser_fail(p, line,
				   "[auth %s] algorithm: %s is for secrets, and what stands at a "
				   "URL is none",
				   a->name, a->algorithm);
	return true;
}

static bool check_jwt(struct parser *p, const struct conf_auth *a, unsigned line)
{
	if (*a->jwks_url) {
		if (!check_jwks_url(p, a, line))
			return false;
	} else if (!*a->key_file) {
		return parser_fail(p, line,
				   "[auth %s] preset = %s needs key_file, a file with the key that "
				   "verifies: PEM, a JWK set, or a secret; or jwks_url",
				   a->name, verifier_presets[a->preset]);
	} else if (*a->key_file != '/') {
		return parser_fail(p, line, "[auth %s] key_file must begin with /", a->name);
	}
	if (*a->algorithm && !jwa_find(a->algorithm))
		return parser_fail(p, line, "[auth %s] algorithm: %.40s is none that is known here",
				   a->name, a->algorithm);
	if (!*a->user_claim)
		return parser_fail(p, line, "[auth %s] user_claim is empty", a->name);
	for (size_t i = 0; i < a->claims.n; i++)
		if (!strchr(a->claims.items[i], '=') || *a->claims.items[i] == '=')
			return parser_fail(p, line, "[auth %s] claims: \"%.80s\" is not NAME=VALUE",
					   a->name, a->claims.items[i]);
	return true;
}

/* Everybody has the same name, so nothing can be somebody's own, but for what goes to channels. */
static bool check_none(struct parser *p, const struct conf_auth *a, unsigned line)
{
	for (size_t i = 0; i < p->conf->n_roles; i++)
		if (!strcmp(p->conf->roles[i].name, a->role))
			return p->conf->roles[i].receives != RECEIVES_OWN ||
			       p->conf->roles[i].n_channels ||
			       parser_fail(p, line,
					   "[auth %s] role: [role %s] receives what is its user's "
					   "own, and nobody is known here",
					   a->name, a->role);
	return parser_fail(p, line, "[auth %s] preset = none needs role = the name of a [role]",
			   a->name);
}

static bool has_token_table(const struct conf_auth *a)
{
	return a->preset != PRESET_SESSION && a->preset != PRESET_NONE &&
	       a->preset != PRESET_TICKET && !verifiers[a->preset].jwt && !*a->key_file;
}

/* A setting of one kind of door in another would be passed over in silence. */
static bool check_strange(struct parser *p, const struct conf_auth *a, unsigned line)
{
	const struct {
		const char *name, *value;
		bool at_home;
	} settings[] = {
		{"secret_key_file", a->secret_key_file, a->preset == PRESET_SESSION},
		{"key_file", a->key_file, verifiers[a->preset].jwt || a->preset == PRESET_APIKEY},
		{"places", a->places.n ? "set" : "",
		 a->preset != PRESET_SESSION && a->preset != PRESET_NONE},
		{"jwks_url", a->jwks_url, verifiers[a->preset].jwt},
		{"jwks_ca_file", a->jwks_ca_file, *a->jwks_url != '\0'},
		{"algorithm", a->algorithm, verifiers[a->preset].jwt},
		{"issuer", a->issuer, verifiers[a->preset].jwt},
		{"audience", a->audience, verifiers[a->preset].jwt},
		{"channels_claim", a->channels_claim, verifiers[a->preset].jwt},
		{"claims", a->claims.n ? "set" : "", verifiers[a->preset].jwt},
		{"users", a->users == USERS_CLAIMS ? "claims" : "",
		 verifiers[a->preset].jwt || a->preset == PRESET_APIKEY},
		{"role", a->role, a->preset == PRESET_NONE},
		{"token_channels", a->token_channels, has_token_table(a)},
	};

	for (size_t i = 0; i < sizeof(settings) / sizeof(*settings); i++)
		if (*settings[i].value && !settings[i].at_home)
			return parser_fail(p, line, "[auth %s] %s is not for preset = %s%s",
					   a->name, settings[i].name, verifier_presets[a->preset],
					   verifiers[a->preset].jwt ? " without jwks_url" : "");
	return true;
}

/* Who names the table that says who is active, or the claim that says what he may, must not find
 * out later that nobody has looked there. */
static bool check_users(struct parser *p, const struct conf_auth *a, unsigned line)
{
	const bool claims = conf_auth_verifies(a) && a->users == USERS_CLAIMS;
	const struct {
		const char *name;
		bool said, asked;
	} settings[] = {
		{"user_table", strcmp(a->user_table, "public.auth_user") != 0, !claims},
		{"user_key", strcmp(a->user_key, "id") != 0, !claims},
		{"user_active", strcmp(a->user_active, "is_active") != 0, !claims},
		{"role_from", a->role_from != ROLE_FROM_COLUMN, !claims},
		{"role_column", strcmp(a->role_column, "role") != 0, !claims},
		{"role_claim", strcmp(a->role_claim, "role") != 0,
		 claims || !verifiers[a->preset].jwt},
	};

	for (size_t i = 0; i < sizeof(settings) / sizeof(*settings); i++)
		if (settings[i].said && !settings[i].asked)
			return parser_fail(p, line, "[auth %s] %s is not asked: users = %s",
					   a->name, settings[i].name, claims ? "claims" : "table");
	return true;
}

/* They have one table. */
static bool check_ticket(struct parser *p, const struct conf_auth *a, unsigned line)
{
	for (const struct conf_auth *o = p->conf->auths; o < a; o++)
		if (o->preset == PRESET_TICKET)
			return parser_fail(
				p, line,
				"[auth %s] and [auth %s] are both for tickets: one is enough",
				a->name, o->name);
	return true;
}

/* Triggers have the section's name, and a table one of that name: of two the second would take the
 * place of the first, and nobody be told whose rights have ended. */
static bool check_tables(struct parser *p, const struct conf_auth *a, unsigned line)
{
	const bool tokens = !conf_auth_verifies(a), groups = a->role_from == ROLE_FROM_GROUPS;
	const struct {
		const char *name, *value;
		bool used;
	} tables[] = {
		{"token_table", a->token_table, tokens},
		{"user_table", a->user_table, true},
		{"group_table", a->group_table, groups},
		{"membership_table", a->membership_table, groups},
	};
	const size_t n = sizeof(tables) / sizeof(*tables);

	for (size_t i = 0; conf_auth_asks(a) && i < n; i++)
		for (size_t k = i + 1; k < n; k++)
			if (tables[i].used && tables[k].used &&
			    !strcmp(tables[i].value, tables[k].value))
				return parser_fail(p, line,
						   "[auth %s] %s and %s are the same table",
						   a->name, tables[i].name, tables[k].name);
	return true;
}

bool check_auth(struct parser *p, struct conf_auth *a, unsigned line)
{
	if (!check_strange(p, a, line))
		return false;
	apply_preset(a);
	if (!check_places(p, a, line) || !check_tables(p, a, line) || !check_users(p, a, line))
		return false;
	if (a->preset == PRESET_SESSION)
		return check_session(p, a, line);
	if (a->preset == PRESET_NONE)
		return check_none(p, a, line);
	if (a->preset == PRESET_APIKEY)
		return check_api_key(p, a, line);
	if (a->preset == PRESET_TICKET)
		return check_ticket(p, a, line);
	return !verifiers[a->preset].jwt || check_jwt(p, a, line);
}

/* Whether it takes whatever `b` does, where both look. */
static bool takes_all_of(const struct conf_auth *a, const struct conf_auth *b, enum place_kind at)
{
	const struct verifier *va = &verifiers[a->preset], *vb = &verifiers[b->preset];

	if (b->preset == PRESET_APIKEY && at == PLACE_AUTHORIZATION)
		return a->preset == PRESET_APIKEY && !*a->key_file; /* a scheme of its own */
	if (a->preset == PRESET_APIKEY && *a->key_file)
		return false; /* only what begins as its keys do */
	if (a->preset == PRESET_TICKET)
		return b->preset == PRESET_TICKET;
	if (!va->jwt)
		return true;
	return vb->jwt && (!*a->issuer || !strcmp(a->issuer, b->issuer)); /* or each its own's */
}

/* Whether every credential that `b` takes is one that `a`, which is asked first, takes away. */
static bool hides(const struct conf_auth *a, const struct conf_auth *b)
{
	if (a->preset == PRESET_NONE)
		return true;
	for (size_t i = 0; i < b->n_where; i++) {
		size_t k = 0;

		while (k < a->n_where && !place_same(&a->where[k], &b->where[i]))
			k++;
		if (k == a->n_where || !takes_all_of(a, b, b->where[i].kind))
			return false;
	}
	return b->n_where > 0;
}

static bool has_ticket_door(const struct conf *c, const struct conf_route *r)
{
	for (size_t i = 0; i < r->auth.n; i++)
		if (conf_find_auth(c, r->auth.items[i])->preset == PRESET_TICKET)
			return true;
	return false;
}

/* A stream goes on by the credential that its ticket was given for, which its own route must take.
 */
static bool check_target(struct parser *p, const struct conf_route *r, unsigned line)
{
	const struct conf_route *target = conf_find_route(p->conf, r->opens);
	unsigned door;

	if (!target || target->kind != ROUTE_EVENTS || !has_ticket_door(p->conf, target))
		return parser_fail(p, line,
				   "[route %s] opens must name a route of events that lists an "
				   "[auth] with preset = ticket",
				   r->name);
	for (size_t i = 0; i < r->auth.n; i++)
		if (!conf_find_door(target, r->auth.items[i], &door))
			return parser_fail(
				p, line,
				"[route %s] auth: [auth %s] must be a door of [route %s] "
				"as well",
				r->name, r->auth.items[i], target->name);
	return true;
}

bool check_opens(struct parser *p, const struct conf_route *r, unsigned line)
{
	const struct conf_route *target = conf_find_route(p->conf, r->opens);

	if (r->kind == ROUTE_PAGE)
		return (target && target->kind == ROUTE_EVENTS) ||
		       parser_fail(p, line, "[route %s] opens must name a route of events",
				   r->name);
	if (r->kind != ROUTE_TICKET && *r->opens)
		return parser_fail(p, line, "[route %s] opens is for kind = ticket and kind = page",
				   r->name);
	for (size_t i = 0; i < r->auth.n && (r->kind == ROUTE_TICKET || conf_route_names_stream(r));
	     i++) {
		const struct conf_auth *a = conf_find_auth(p->conf, r->auth.items[i]);

		if (a->preset == PRESET_TICKET || a->preset == PRESET_NONE)
			return parser_fail(p, line,
					   "[route %s] auth: [auth %s] is no credential to give a "
					   "ticket for, or to name a stream with",
					   r->name, a->name);
	}
	return r->kind != ROUTE_TICKET || check_target(p, r, line);
}

bool check_doors(struct parser *p, struct conf_route *r, unsigned line)
{
	const struct conf *c = p->conf;

	if (c->n_auths)
		preset_list(&r->auth, c->auths[0].name);
	if (r->auth.n > DOORS_MAX)
		return parser_fail(p, line, "[route %s] auth names more than %d doors", r->name,
				   DOORS_MAX);
	for (size_t i = 0; i < r->auth.n; i++) {
		const struct conf_auth *a = conf_find_auth(c, r->auth.items[i]);

		if (!a)
			return parser_fail(p, line, "[route %s] auth: there is no [auth %s]",
					   r->name, r->auth.items[i]);
		for (size_t k = 0; k < i; k++)
			if (hides(conf_find_auth(c, r->auth.items[k]), a))
				return parser_fail(p, line,
						   "[route %s] auth: nothing is left for [auth %s] "
						   "behind [auth %s]",
						   r->name, a->name, r->auth.items[k]);
	}
	return r->auth.n ||
	       parser_fail(p, line, "[route %s] needs auth = the names of [auth] sections",
			   r->name);
}
