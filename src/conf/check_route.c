/* SPDX-License-Identifier: PostgreSQL
 * What a [route] says about its path, whom it is for, and the forms in which it tells. See
 * check_conf() in parser.h. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "conf/parser.h"
#include "hub/filter.h"
#include "sql/watch.h"

bool check_path(struct parser *p, struct conf_route *r, unsigned line)
{
	static const char *const own[] = {"/healthz", "/readyz"};
	const char *why = pattern_path_complaint(r->path);

	if (why)
		return parser_fail(p, line, "[route %s] path %s", r->name, why);
	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
		if (pattern_overlap(r->path, own[i]))
			return parser_fail(p, line, "[route %s] path %s is the daemon's own",
					   r->name, own[i]);
	for (const struct conf_route *o = p->conf->routes; o < r; o++)
		if (pattern_overlap(o->path, r->path))
			return parser_fail(p, line, "[route %s] path %s is [route %s]'s", r->name,
					   r->path, o->name);
	return true;
}

static bool is_of_user(const char *name, size_t len)
{
	static const char *const names[] = {"id", "user", "role"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (strlen(names[i]) == len && !memcmp(names[i], name, len))
			return true;
	return false;
}

/* What somebody hears by his id, and by no channel. */
static bool is_own(const char *channel)
{
	return !strcmp(channel, "{id}") || !strcmp(channel, "{user}");
}

/* Parameters that have a meaning on every stream. */
static bool is_taken(const char *name, size_t len)
{
	static const char *const names[] = {"token",	   "ticket",   "types",
					    "topics",	   "channels", "last_event_id",
					    "lastEventId", "hello",    "transport"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (strlen(names[i]) == len && !memcmp(names[i], name, len))
			return true;
	return false;
}

static bool check_channel(struct parser *p, struct conf_route *r, const char *channel,
			  unsigned line)
{
	const char *why = pattern_channel_complaint(channel), *rest = channel;
	struct pattern_piece v;

	if (why)
		return parser_fail(p, line, "[route %s] channels: \"%.80s\" %s", r->name, channel,
				   why);
	while (pattern_next(&rest, &v)) {
		r->by_role |= v.is_variable && v.len == 4 && !memcmp(v.at, "role", 4);
		if (v.is_variable && *v.at == '?' && is_taken(v.at + 1, v.len - 1))
			return parser_fail(p, line,
					   "[route %s] channels: {%.*s} means something else",
					   r->name, (int)v.len, v.at);
		if (v.is_variable && *v.at != '?' && !is_of_user(v.at, v.len) &&
		    pattern_variable(r->path, v.at, v.len) < 0)
			return parser_fail(p, line,
					   "[route %s] channels: nothing fills {%.*s}: it is no "
					   "variable of the path, none of the query ({?%.*s}), and "
					   "not id, user or role",
					   r->name, (int)v.len, v.at, (int)v.len, v.at);
	}
	r->own_too |= is_own(channel);
	return true;
}

static bool is_used(const struct conf_route *r, const struct pattern_piece *v)
{
	struct pattern_piece u;

	for (size_t i = 0; i < r->channels.n; i++) {
		const char *rest = r->channels.items[i];

		while (pattern_next(&rest, &u))
			if (u.is_variable && u.len == v->len && !memcmp(u.at, v->at, u.len))
				return true;
	}
	return false;
}

/* A variable that leads to nothing would say that there is something for each of its values. */
static bool check_variables(struct parser *p, const struct conf_route *r, unsigned line)
{
	const char *rest = r->path;
	struct pattern_piece v;
	size_t n = 0;

	while (r->kind == ROUTE_DISCONNECT && pattern_next(&rest, &v))
		n += v.is_variable;
	if (r->kind == ROUTE_DISCONNECT)
		return n == 1 ||
		       parser_fail(p, line,
				   "[route %s] path needs one variable: the connection's name",
				   r->name);

	while (pattern_next(&rest, &v)) {
		if (!v.is_variable)
			continue;
		if (is_of_user(v.at, v.len))
			return parser_fail(p, line, "[route %s] path: {%.*s} is the user's",
					   r->name, (int)v.len, v.at);
		if (pattern_variable(rest, v.at, v.len) >= 0)
			return parser_fail(p, line, "[route %s] path: {%.*s} is there twice",
					   r->name, (int)v.len, v.at);
		if (!is_used(r, &v))
			return parser_fail(p, line, "[route %s] path: no channel uses {%.*s}",
					   r->name, (int)v.len, v.at);
	}
	return true;
}

/* Whether somebody who may use it may hear a channel at all. */
static bool has_hearers(const struct conf *c, const struct conf_route *r)
{
	for (size_t i = 0; i < c->n_roles; i++)
		if (c->roles[i].n_channels && conf_role_allowed(c, r, c->roles[i].name))
			return true;
	return false;
}

#define ASKED_NAME_MAX 53 /* bytes: PostgreSQL's name for authorize_NAME has 63 */

/* A function of the application: what is ours or PostgreSQL's decides nothing for it. */
static bool check_authorize(struct parser *p, const struct conf_route *r, unsigned line)
{
	autobuf why = {.max = 1024};
	char *schema = NULL, *function = NULL;
	bool ok = watch_parse_table("authorize", r->authorize, &schema, &function, &why);

	if (!ok)
		parser_fail(p, line, "[route %s] %s", r->name, buf_cstr(&why));
	else if (r->kind != ROUTE_EVENTS)
		ok = parser_fail(p, line, "[route %s] authorize is for kind = events", r->name);
	else if (strlen(r->name) > ASKED_NAME_MAX)
		ok = parser_fail(p, line,
				 "[route %s] authorize: the name of such a route has at most %d "
				 "bytes",
				 r->name, ASKED_NAME_MAX);
	else if (!strcmp(schema, "pgherald") || !strncmp(schema, "pg_", 3) ||
		 !strcmp(schema, "information_schema"))
		ok = parser_fail(p, line,
				 "[route %s] authorize: a function of the application is wanted, "
				 "and %s is not its schema",
				 r->name, schema);
	free(schema);
	free(function);
	return ok;
}

bool check_audience(struct parser *p, struct conf_route *r, unsigned line)
{
	size_t n_own = 0;

	if (*r->authorize && !check_authorize(p, r, line))
		return false;
	if (r->kind != ROUTE_EVENTS && (r->channels.n || r->types.n))
		return parser_fail(p, line, "[route %s] channels and types are for kind = events",
				   r->name);
	if (r->channels.n > ROUTE_CHANNELS_MAX)
		return parser_fail(p, line, "[route %s] channels: more than %d", r->name,
				   ROUTE_CHANNELS_MAX);
	if (r->types.n > FILTER_ITEMS_MAX)
		return parser_fail(p, line, "[route %s] types: more than %d", r->name,
				   FILTER_ITEMS_MAX);
	for (size_t i = 0; i < r->channels.n; i++) {
		if (!check_channel(p, r, r->channels.items[i], line))
			return false;
		n_own += is_own(r->channels.items[i]);
	}
	if (n_own < r->channels.n && !has_hearers(p->conf, r))
		return parser_fail(p, line,
				   "[route %s] channels: no role that may use it may hear any; see "
				   "channels in [role]",
				   r->name);
	return check_variables(p, r, line);
}

/* A transport that is named must be able to carry the dialect. */
static bool check_transport(struct parser *p, struct conf_route *r, const char *name, unsigned line)
{
	enum wire_transport t = transport_find(name);
	const char *why;

	if (t == N_TRANSPORTS) {
		parser_fail(p, line, "[route %s] transports: there is no %.80s; there are", r->name,
			    name);
		for (t = 0; t < N_TRANSPORTS; t++)
			buf_printf(p->error, "%s %s", t ? "," : "", transport_name(t));
		return false;
	}
	if (conf_route_carries(r, t))
		return parser_fail(p, line, "[route %s] transports: %s is there twice", r->name,
				   name);
	why = form_complaint(t, (enum wire_dialect)r->dialect, !r->ids);
	if (why)
		return parser_fail(p, line, "[route %s] %s cannot carry the dialect %s: %s",
				   r->name, name, dialect_names[r->dialect], why);
	if (!r->carried)
		r->first = t;
	r->carried |= 1U << t;
	return true;
}

bool check_forms(struct parser *p, struct conf_route *r, unsigned line)
{
	const struct dialect *d = dialects[r->dialect];

	if (r->txid && !d->tells_txid)
		return parser_fail(p, line, "[route %s] txid: the dialect %s has no place for it",
				   r->name, d->name);
	for (size_t i = 0; i < r->transports.n; i++)
		if (!check_transport(p, r, r->transports.items[i], line))
			return false;
	r->first = r->transports.n ? r->first : TRANSPORT_SSE; /* which carries every dialect */
	for (enum wire_transport t = 0; !r->transports.n && t < N_TRANSPORTS; t++)
		if (!form_complaint(t, (enum wire_dialect)r->dialect, !r->ids))
			r->carried |= 1U << t;
	if (r->test_mode && !conf_route_carries(r, TRANSPORT_SSE))
		return parser_fail(p, line, "[route %s] test_mode is told in sse", r->name);
	return true;
}
