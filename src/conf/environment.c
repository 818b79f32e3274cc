/* SPDX-License-Identifier: PostgreSQL
 * Variables of the environment, on top of the file: of the routes whose `environment` names a
 * family. A deployment that had its switches there keeps them. See parser_end() in parser.h. */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/address.h"
#include "base/mem.h"
#include "conf/parser.h"
#include "conf/value.h"

#define FAMILIES "WEBSOCKET, SSE and TEST_MODE"

/* What each sets, and the unit of its numbers. */
static const struct variable {
	const char *family, *name, *setting, *unit;
} variables[] = {
	{"WEBSOCKET", "WEBSOCKET_ENABLED", "enabled", ""},
	{"WEBSOCKET", "WEBSOCKET_AUTH_REQUIRED", "auth", ""},
	{"WEBSOCKET", "WEBSOCKET_HEARTBEAT_INTERVAL", "keepalive", "s"},
	{"WEBSOCKET", "WEBSOCKET_MAX_CONNECTIONS", "max_streams", ""},
	{"WEBSOCKET", "WEBSOCKET_MESSAGE_QUEUE_SIZE", "queue_events", ""},
	{"WEBSOCKET", "WEBSOCKET_DISCONNECT_TIMEOUT", "stall", "s"},
	{"SSE", "SSE_ENABLED", "enabled", ""},
	{"SSE", "SSE_AUTH_REQUIRED", "auth", ""},
	{"SSE", "SSE_HEARTBEAT_INTERVAL", "keepalive", "s"},
	{"SSE", "SSE_MAX_CONNECTIONS", "max_streams", ""},
	{"SSE", "SSE_RETRY_TIMEOUT", "retry", "ms"},
	{"SSE", "SSE_MAX_MESSAGE_SIZE", "max_body", ""},
	{"TEST_MODE", "TEST_MODE", "test_mode", ""},
};

static const struct setting *setting_of(const char *name)
{
	const struct setting *s = section_table[SECTION_ROUTE].settings;

	while (strcmp(s->name, name) != 0)
		s++;
	return s;
}

static bool fail(struct parser *p, const struct conf_route *r, const char *name, const char *why)
{
	buf_clear(p->error);
	buf_printf(p->error, "%s in the environment, for [route %s]: %s", name, r->name, why);
	return false;
}

/* As such variables are written; otherwise the text itself, which value_set() then refuses. */
static const char *yes_or_no(const char *text)
{
	static const char *const yes[] = {"true", "True", "TRUE", "1", "on"};
	static const char *const no[] = {"false", "False", "FALSE", "0", "off"};

	for (size_t i = 0; i < sizeof(yes) / sizeof(*yes); i++) {
		if (!strcmp(text, yes[i]))
			return "yes";
		if (!strcmp(text, no[i]))
			return "no";
	}
	return text;
}

/* Whether a name of `listen` is reached from this machine only. A Unix socket is not: it is there
 * for what stands in front. */
static bool is_loopback(const char *name)
{
	const char *port = strrchr(name, ':');
	size_t len = port ? (size_t)(port - name) : 0;
	struct address a;

	if (len > 2 && *name == '[' && name[len - 1] == ']') {
		name++;
		len -= 2;
	}
	if (len == strlen("localhost") && !strncasecmp(name, "localhost", len))
		return true;
	return address_parse(&a, name, len) && address_is_loopback(&a);
}

/* A switch that was meant for somebody's own machine opens nothing to others. */
static bool may_open(struct parser *p, const struct conf_route *r, const char *name)
{
	const struct conf *c = p->conf;
	autobuf why = {.max = 512};

	if (c->allow_insecure)
		return true;
	for (size_t i = 0; i < c->listen.n && !why.len; i++)
		if (!is_loopback(c->listen.items[i]))
			buf_printf(&why, "listen = %.80s is reached from elsewhere",
				   c->listen.items[i]);
	if (!why.len && c->trusted_proxies.n)
		buf_str(&why, "there are trusted_proxies, whose clients come from elsewhere");
	if (!why.len)
		return true;
	buf_str(&why, "; if everybody is to be let in there, list the [auth] in auth, or set "
		      "allow_insecure = yes in [server]");
	return fail(p, r, name, buf_cstr(&why));
}

/* One door more, the last: who brings no credential comes in by it. */
static bool open_to_all(struct parser *p, struct conf_route *r, const char *name)
{
	const struct conf *c = p->conf;
	const struct conf_auth *none = NULL;
	autobuf list = {.max = VALUE_MAX};
	autobuf why = {.max = 512};

	for (size_t i = 0; i < c->n_auths && !none; i++)
		if (c->auths[i].preset == PRESET_NONE)
			none = &c->auths[i];
	if (!none)
		return fail(
			p, r, name,
			"who comes without a credential needs an [auth] with preset = none and a "
			"role");
	for (size_t i = 0; i < r->auth.n; i++)
		if (!strcmp(r->auth.items[i], none->name)) /* the file says so already */
			return true;
	if (!may_open(p, r, name))
		return false;
	r->opened_by = name;
	if (!r->auth.n)
		buf_str(&list, c->auths[0].name);
	for (size_t i = 0; i < r->auth.n; i++)
		buf_printf(&list, "%s%s", i ? ", " : "", r->auth.items[i]);
	if (strcmp(buf_cstr(&list), none->name) != 0)
		buf_printf(&list, ", %s", none->name);
	return value_set(setting_of("auth"), r, buf_cstr(&list), &why) ||
	       fail(p, r, name, buf_cstr(&why));
}

static bool apply(struct parser *p, struct conf_route *r, const struct variable *v)
{
	const struct setting *s = setting_of(v->setting);
	const char *text = getenv(v->name);
	autobuf value = {.max = VALUE_MAX};
	autobuf why = {.max = 512};

	if (!text || !*text)
		return true;
	if (s->type == TYPE_LIST) { /* AUTH_REQUIRED */
		text = yes_or_no(text);
		if (!strcmp(text, "no"))
			return r->kind != ROUTE_EVENTS || open_to_all(p, r, v->name);
		return !strcmp(text, "yes") || fail(p, r, v->name, "it is neither true nor false");
	}
	buf_printf(&value, "%s%s", s->type == TYPE_YESNO ? yes_or_no(text) : text, v->unit);
	return value_set(s, r, buf_cstr(&value), &why) || fail(p, r, v->name, buf_cstr(&why));
}

static bool apply_family(struct parser *p, struct conf_route *r, const char *family, unsigned line)
{
	bool known = false;

	for (size_t i = 0; i < sizeof(variables) / sizeof(*variables); i++) {
		if (strcmp(variables[i].family, family) != 0)
			continue;
		known = true;
		if (!apply(p, r, &variables[i]))
			return false;
	}
	return known ||
	       parser_fail(p, line,
			   "[route %s] environment: there is no %.80s; there are " FAMILIES,
			   r->name, family);
}

bool environment_apply(struct parser *p)
{
	struct conf *c = p->conf;

	for (size_t i = 0; i < c->n_routes; i++) {
		struct conf_route *r = &c->routes[i];

		if (p->files[SECTION_ROUTE][i])
			p->file = p->files[SECTION_ROUTE][i];
		for (size_t k = 0; k < r->environment.n; k++)
			if (!apply_family(p, r, r->environment.items[k],
					  p->lines[SECTION_ROUTE][i]))
				return false;
	}
	return true;
}

void environment_print(const struct conf *c, struct buf *out)
{
	for (size_t v = 0; v < sizeof(variables) / sizeof(*variables); v++) {
		const char *text = getenv(variables[v].name);
		bool used = false;

		for (size_t i = 0; text && *text && i < c->n_routes; i++)
			for (size_t k = 0; k < c->routes[i].environment.n; k++)
				used |= !strcmp(c->routes[i].environment.items[k],
						variables[v].family);
		if (used)
			buf_printf(out, "%s%s = %.80s", out->len ? ", " : "", variables[v].name,
				   text);
	}
}
