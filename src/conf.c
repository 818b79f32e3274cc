/* SPDX-License-Identifier: PostgreSQL
 * See conf.h: the snapshot itself, and what is told about it. conf/parser.c makes one. */
#include "config.h"
#include "conf.h"

#include <stdlib.h>
#include <string.h>

#include "auth/api_key.h"
#include "auth/jwk.h"
#include "auth/key_file.h"
#include "auth/secret.h"
#include "base/mem.h"
#include "conf/value.h"
#include "hub/subscription.h"
#include "wire/dialect.h"
#include "wire/json.h"
#include "wire/kafka_property.h"

#define PASSWORD_MAX 511   /* bytes */
#define TEXT_MAX     16384 /* of a file with properties */

struct conf *conf_ref(struct conf *c)
{
	atomic_fetch_add(&c->refs, 1);
	return c;
}

static void wipe(char *secret)
{
	if (secret)
		explicit_bzero(secret, strlen(secret));
	free(secret);
}

void conf_unref(struct conf *c)
{
	if (!c || atomic_fetch_sub(&c->refs, 1) != 1)
		return;
	for (size_t i = 0; i < c->n_watches; i++)
		watch_free(c->watches[i].parsed);
	for (size_t i = 0; i < c->n_auths; i++) {
		secrets_free(c->auths[i].secrets);
		jwks_free(c->auths[i].jwks);
		api_keys_free(c->auths[i].api_keys);
	}
	for (size_t i = 0; i < c->n_listens; i++) {
		wipe(c->listens[i].password);
		wipe(c->listens[i].properties);
	}
	for (size_t i = 0; i < c->n_routes; i++)
		forwarded_trust_free(&c->routes[i].allowed);
	forwarded_trust_free(&c->trust);
	for (size_t i = 0; i < N_SECTIONS; i++) {
		const struct section *k = &section_table[i];

		if (!k->size) {
			value_free(k->settings, c);
			continue;
		}
		for (size_t e = 0; e < *section_count(c, k); e++) {
			value_free(k->settings, section_element(c, k, e));
			free(*(char **)section_element(c, k, e));
		}
		free(*section_array(c, k));
	}
	free(c->path);
	free(c);
}

const struct conf_auth *conf_find_auth(const struct conf *c, const char *name)
{
	for (size_t i = 0; i < c->n_auths; i++)
		if (!strcmp(c->auths[i].name, name))
			return &c->auths[i];
	return NULL;
}

const struct conf_route *conf_find_route(const struct conf *c, const char *name)
{
	for (size_t i = 0; i < c->n_routes; i++)
		if (!strcmp(c->routes[i].name, name))
			return &c->routes[i];
	return NULL;
}

bool conf_auth_verifies(const struct conf_auth *a)
{
	return verifiers[a->preset].jwt || (a->preset == PRESET_APIKEY && *a->key_file);
}

bool conf_auth_asks(const struct conf_auth *a)
{
	return a->preset != PRESET_NONE && !(conf_auth_verifies(a) && a->users == USERS_CLAIMS);
}

bool conf_find_door(const struct conf_route *route, const char *name, unsigned *ret)
{
	for (unsigned i = 0; i < route->auth.n; i++)
		if (!strcmp(route->auth.items[i], name)) {
			*ret = i;
			return true;
		}
	return false;
}

static bool is_there(const struct conf *c, const struct conf_route *r)
{
	return r->enabled && (r->kind != ROUTE_PAGE || c->developer);
}

const struct conf_route *conf_route_at(const struct conf *c, const char *path,
				       struct pattern_piece ret[PATTERN_VARIABLES_MAX])
{
	for (size_t i = 0; i < c->n_routes; i++)
		if (is_there(c, &c->routes[i]) && pattern_matches(c->routes[i].path, path, ret))
			return &c->routes[i];
	return NULL;
}

bool conf_route_asks(const struct conf_route *route, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < route->channels.n; i++) {
		const char *rest = route->channels.items[i];
		struct pattern_piece p;

		while (pattern_next(&rest, &p))
			if (p.is_variable && *p.at == '?' && p.len == len + 1 &&
			    !memcmp(p.at + 1, name, len))
				return true;
	}
	return false;
}

bool conf_route_carries(const struct conf_route *route, enum wire_transport transport)
{
	return route->carried >> transport & 1;
}

uint32_t conf_route_form(const struct conf_route *route, enum wire_transport transport)
{
	const struct form_parts parts = {
		.transport = transport,
		.dialect = (enum wire_dialect)route->dialect,
		.no_ids = !route->ids,
		.txid = route->txid,
		.crlf = route->line_ends == LINE_ENDS_CRLF,
		.each_retry_ms = route->retry_each ? route->retry_ms : 0,
	};

	return form_of(&parts);
}

const struct scope_policy *conf_find_role(const struct conf *c, const char *name)
{
	for (size_t i = 0; i < c->n_roles; i++)
		if (!strcmp(c->roles[i].name, name))
			return &c->roles[i];
	return NULL;
}

bool conf_may_publish(const struct conf *c)
{
	for (size_t i = 0; i < c->publishers.n; i++)
		if (!strcmp(c->publishers.items[i], c->login))
			return true;
	return false;
}

bool conf_route_publishes(const struct conf_route *route)
{
	return route->kind == ROUTE_BROADCAST || route->kind == ROUTE_SEND;
}

bool conf_route_names_stream(const struct conf_route *route)
{
	return route->kind == ROUTE_RENEW || route->kind == ROUTE_SUBSCRIBE ||
	       route->kind == ROUTE_UNSUBSCRIBE;
}

bool conf_route_takes_body(const struct conf_route *route)
{
	return conf_route_publishes(route) || route->kind == ROUTE_SUBSCRIBE ||
	       route->kind == ROUTE_UNSUBSCRIBE;
}

bool conf_route_is_posted(const struct conf_route *route)
{
	return route->kind == ROUTE_TICKET || route->kind == ROUTE_RENEW ||
	       conf_route_takes_body(route);
}

bool conf_route_calls_roll(const struct conf_route *route)
{
	return route->kind == ROUTE_CONNECTIONS || route->kind == ROUTE_DISCONNECT ||
	       (route->kind == ROUTE_STATS && dialects[route->dialect]->calls_roll);
}

bool conf_route_admits(const struct conf *c, const struct conf_route *route,
		       const struct address *from)
{
	return !route->allow_ips.n ||
	       (forwarded_trusts(&route->allowed, from) && !forwarded_trusts(&c->trust, from));
}

bool conf_role_allowed(const struct conf *c, const struct conf_route *route, const char *role)
{
	const struct scope_policy *policy = conf_find_role(c, role);

	if (!policy)
		return false;
	for (size_t i = 0; i < route->roles.n; i++)
		if (!strcmp(route->roles.items[i], role))
			return true;
	if (route->roles.n)
		return false;
	if (conf_route_publishes(route))
		return policy->n_publishes != 0;
	if (route->kind == ROUTE_STATS || route->kind == ROUTE_EXPLAIN ||
	    route->kind == ROUTE_METRICS || conf_route_calls_roll(route))
		return policy->receives == RECEIVES_ALL;
	return policy->receives != RECEIVES_NONE;
}

bool conf_takes_cookies(const struct conf *c)
{
	for (size_t i = 0; i < c->n_auths; i++)
		for (size_t k = 0; k < c->auths[i].n_where; k++)
			if (c->auths[i].where[k].kind == PLACE_COOKIE)
				return true;
	return false;
}

static bool has_channels(const struct api_key *k)
{
	autofree struct keys *granted = k->channels ? subscription_grants(k->channels) : NULL;

	return !k->channels || granted;
}

/* A role in the file that nobody has made would refuse its key in silence. */
static bool load_api_keys(const struct conf *c, struct conf_auth *a, struct buf *why)
{
	a->api_keys = api_keys_load(a->key_file, why);
	for (size_t i = 0; a->api_keys && i < a->api_keys->n; i++) {
		const struct api_key *k = &a->api_keys->items[i];

		if (a->users == USERS_TABLE && k->role)
			buf_printf(why,
				   "%s: line %u has a role, which users = table asks "
				   "user_table for: it must be -",
				   a->key_file, k->line);
		else if (a->users == USERS_CLAIMS && (!k->role || !conf_find_role(c, k->role)))
			buf_printf(why, "%s: line %u needs the name of a [role]: users = claims",
				   a->key_file, k->line);
		else if (!has_channels(k))
			buf_printf(why,
				   "%s: line %u has channels that are none: at most 32 names or "
				   "beginnings of names with a *, between commas",
				   a->key_file, k->line);
		if (why->len)
			return false;
	}
	return a->api_keys != NULL;
}

/* The text of a file with secrets: its first line, or all of it. NULL with the error. */
static char *load_text(const struct conf *c, const struct conf_listen *l, const char *setting,
		       const char *path, bool first_line, struct buf *error)
{
	char text[TEXT_MAX + 1] = "", *ret = NULL;
	const char *open = NULL;
	autobuf why = {0};
	size_t len;

	buf_init(&why, 8192);
	if (!key_file_read(path, text, first_line ? PASSWORD_MAX : TEXT_MAX, &len, &open, &why))
		;
	else if (open)
		buf_printf(&why, "%s: %s", path, open);
	else if (!(len = first_line ? strcspn(text, "\r\n") : strlen(text)))
		buf_printf(&why, "%s: nothing is in it", path);
	else
		ret = xstrndup(text, len);
	explicit_bzero(text, sizeof(text));
	if (!ret)
		buf_printf(error, "%s: [listen %s] %s: %s", c->path, l->name, setting,
			   buf_cstr(&why));
	return ret;
}

static bool load_properties(const struct conf *c, struct conf_listen *l, struct buf *error)
{
	struct kafka_property p;
	const char *at, *why;
	bool ok = true;

	l->properties = load_text(c, l, "properties_file", l->properties_file, false, error);
	if (!l->properties)
		return false;
	for (at = l->properties; kafka_property_next(&at, &p, &why);)
		;
	if (why) {
		buf_printf(error, "%s: [listen %s] properties_file: %s: %s", c->path, l->name,
			   l->properties_file, why);
		ok = false;
	}
	explicit_bzero(&p, sizeof(p));
	return ok;
}

static bool load_listen(const struct conf *c, struct conf_listen *l, struct buf *error)
{
	if (!strcmp(l->server, VALUE_CROSSED_OUT)) {
		buf_printf(error, "%s: [listen %s] server is crossed out", c->path, l->name);
		return false;
	}
	if (*l->password_file &&
	    !(l->password = load_text(c, l, "password_file", l->password_file, true, error)))
		return false;
	return !*l->properties_file || load_properties(c, l, error);
}

static void add_complaint(const struct conf *c, const struct conf_auth *a, const char *why,
			  struct buf *error)
{
	buf_printf(error, "%s: [auth %s] %s: %s", c->path, a->name,
		   a->preset == PRESET_SESSION ? "secret_key_file"
		   : *a->jwks_url	       ? "jwks_ca_file"
					       : "key_file",
		   why);
}

void conf_load_api_keys(struct conf *c, struct buf *errors)
{
	for (size_t i = 0; i < c->n_auths; i++) {
		struct conf_auth *a = &c->auths[i];
		autobuf why = {.max = 8192};

		if (a->preset != PRESET_APIKEY || !conf_auth_verifies(a) ||
		    load_api_keys(c, a, &why))
			continue;
		api_keys_free(a->api_keys);
		a->api_keys = NULL;
		buf_str(errors, errors->len ? "\n" : "");
		add_complaint(c, a, buf_cstr(&why), errors);
	}
}

bool conf_load_secrets(struct conf *c, struct buf *error)
{
	autobuf why = {0};

	buf_init(&why, 8192);
	for (size_t i = 0; i < c->n_auths; i++) {
		struct conf_auth *a = &c->auths[i];

		if (*a->jwks_url)
			(void)!key_file_is_readable(a->jwks_ca_file, &why);
		else if (verifiers[a->preset].jwt)
			a->jwks = jwks_load(a->key_file, *a->algorithm ? a->algorithm : NULL, &why);
		else if (conf_auth_verifies(a))
			(void)!load_api_keys(c, a, &why);
		else if (a->preset == PRESET_SESSION)
			a->secrets = secrets_load(a->secret_key_file, a->session_salt, &why);
		if (why.len) {
			add_complaint(c, a, buf_cstr(&why), error);
			return false;
		}
	}
	for (size_t i = 0; i < c->n_listens; i++)
		if (!load_listen(c, &c->listens[i], error))
			return false;
	return true;
}

static void print_settings(const struct setting *s, const void *base, struct buf *out)
{
	for (; s->name; s++) {
		buf_printf(out, "%s = ", s->name);
		value_print(s, base, out);
		buf_char(out, '\n');
	}
	buf_char(out, '\n');
}

void conf_print(const struct conf *c, struct buf *out)
{
	for (size_t i = 0; i < N_SECTIONS; i++) {
		const struct section *k = &section_table[i];
		const char *array;
		size_t n;

		if (!k->size) {
			buf_printf(out, "[%s]\n", k->name);
			print_settings(k->settings, c, out);
			continue;
		}
		array = *(char *const *)value_at_const(c, k->array);
		n = *(const size_t *)value_at_const(c, k->count);
		for (size_t e = 0; e < n; e++, array += k->size) {
			buf_printf(out, "[%s %s]\n", k->name, *(char *const *)(const void *)array);
			print_settings(k->settings, array, out);
		}
	}
}

static void add_topic(struct buf *b, const char *name)
{
	buf_str(b, b->len > 1 ? ", " : "");
	json_string(b, name, strlen(name));
}

char *conf_topics(const struct conf *c)
{
	struct buf b;

	buf_init(&b, VALUE_MAX);
	buf_char(&b, '[');
	for (size_t i = 0; i < c->n_watches; i++)
		add_topic(&b, c->watches[i].name);
	buf_char(&b, ']');
	return buf_steal(&b);
}

char *conf_live_topics(const struct conf *c)
{
	struct buf b;

	buf_init(&b, VALUE_MAX);
	buf_char(&b, '[');
	for (size_t i = 0; i < c->n_watches; i++)
		if (c->watches[i].capture == CAPTURE_NOTIFY)
			add_topic(&b, c->watches[i].name);
	for (size_t i = 0; i < c->n_listens; i++)
		add_topic(&b, c->listens[i].name);
	if (b.len == 1) {
		buf_free(&b);
		return NULL;
	}
	buf_char(&b, ']');
	return buf_steal(&b);
}

void conf_list_settings(struct buf *out)
{
	for (size_t i = 0; i < N_SECTIONS; i++)
		for (const struct setting *s = section_table[i].settings; s->name; s++)
			buf_printf(out, "%s %s %s\n", section_table[i].name, s->name,
				   s->def ? s->def : "");
}

void conf_restart_needed(const struct conf *old, const struct conf *new, struct buf *out)
{
	for (size_t i = 0; i < N_SECTIONS; i++)
		for (const struct setting *s = section_table[i].settings;
		     !section_table[i].size && s->name; s++) {
			struct buf a, b;

			if (!(s->flags & RESTART))
				continue;
			buf_init(&a, VALUE_MAX);
			buf_init(&b, VALUE_MAX);
			value_print(s, old, &a);
			value_print(s, new, &b);
			if (strcmp(buf_cstr(&a), buf_cstr(&b)) != 0)
				buf_printf(out, "%s%s", out->len ? ", " : "", s->name);
			buf_free(&a);
			buf_free(&b);
		}
}
