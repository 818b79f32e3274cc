/* SPDX-License-Identifier: PostgreSQL
 * What one line of the configuration alone cannot tell. See check_conf() in parser.h. Messages name
 * the section: its lines are past. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "auth/origin.h"
#include "base/mem.h"
#include "conf/parser.h"
#include "wire/dialect.h"

#define CLIENT_MEMORY_MIN 131072 /* bytes; with less nobody gets anywhere */

/* Or every post would be answered with 403. */
static bool check_publishes(struct parser *p, const struct conf_route *r, unsigned line)
{
	if (!conf_route_publishes(r) || conf_may_publish(p->conf))
		return true;
	return parser_fail(p, line,
			   "[route %s] publishes as %s, which [publish] roles does not name",
			   r->name, p->conf->login);
}

static bool check_route(struct parser *p, struct conf_route *r, unsigned line)
{
	struct conf *c = p->conf;
	const char *bad;

	if (!check_path(p, r, line) || !check_audience(p, r, line))
		return false;
	if (!forwarded_trust_parse(&r->allowed, r->allow_ips.items, r->allow_ips.n, &bad))
		return parser_fail(p, line,
				   "[route %s] allow_ips: \"%.80s\" is no address, no range such "
				   "as 10.0.0.0/8, and not unix:",
				   r->name, bad);
	if (!check_forms(p, r, line) || !check_doors(p, r, line) || !check_publishes(p, r, line))
		return false;
	for (size_t i = 0; i < r->roles.n; i++) {
		size_t k = 0;

		while (k < c->n_roles && strcmp(c->roles[k].name, r->roles.items[i]) != 0)
			k++;
		if (k == c->n_roles)
			return parser_fail(p, line, "[route %s] roles: there is no [role %s]",
					   r->name, r->roles.items[i]);
	}
	return true;
}

static void default_routes(struct conf *c)
{
	const struct section *k = &section_table[SECTION_ROUTE];
	struct conf_route *r = section_add(c, k, "events");

	r->path = xstrdup("/api/v1/sse/events/");
	r->kind = ROUTE_EVENTS;
	r = section_add(c, k, "stats");
	r->path = xstrdup("/api/v1/sse/stats/");
	r->kind = ROUTE_STATS;
	r->query_token = false;
}

static bool check_follow(struct parser *p, const struct conf_watch *w, unsigned line)
{
	if (w->follow && !watch_has_hops(w->parsed))
		return parser_fail(p, line,
				   "[watch %s] follow is for owners that stand in other tables "
				   "(COLUMN<-SCHEMA.TABLE.FK.OWNER)",
				   w->name);
	if (w->follow && w->parsed->notify)
		return parser_fail(p, line, "[watch %s] follow needs capture = journal", w->name);
	return true;
}

static bool check_channels(struct parser *p, const struct conf_watch *w, unsigned line)
{
	const char *not_with = w->follow ? "follow = yes" : "capture = notify";

	return !w->parsed->n_channels || (!w->follow && !w->parsed->notify) ||
	       parser_fail(p, line, "[watch %s] channels cannot be had with %s", w->name, not_with);
}

static bool check_watch(struct parser *p, struct conf_watch *w, unsigned line)
{
	struct buf why;
	bool ok = true;

	if (!strcmp(w->name, "system") || !strcmp(w->name, "herald"))
		return parser_fail(p, line, "[watch %s] that name is the daemon's own", w->name);
	buf_init(&why, 512);
	w->parsed = watch_parse(w->name, w->table, w->key, *w->owners ? w->owners : NULL, w->fields,
				*w->leave ? w->leave : NULL, &why);
	if (!w->parsed || !watch_parse_channels(w->parsed, w->channels, &why))
		ok = parser_fail(p, line, "[watch %s] %s", w->name, buf_cstr(&why));
	else {
		w->parsed->doorbell = (enum watch_doorbell)p->conf->doorbell;
		w->parsed->notify = w->capture == CAPTURE_NOTIFY;
		w->parsed->rescope = (const char *const *)w->rescope.items;
		w->parsed->n_rescope = w->rescope.n;
		w->parsed->follow = w->follow;
		ok = check_follow(p, w, line) && check_channels(p, w, line);
	}
	buf_free(&why);
	return ok;
}

static bool has_watch(const struct conf *c, const char *topic)
{
	for (size_t i = 0; i < c->n_watches; i++)
		if (!strcmp(c->watches[i].name, topic))
			return true;
	return false;
}

static bool check_rescope(struct parser *p, const struct conf_watch *w, unsigned line)
{
	for (size_t i = 0; i < w->rescope.n; i++)
		if (!has_watch(p->conf, w->rescope.items[i]))
			return parser_fail(p, line, "[watch %s] rescope: there is no [watch %s]",
					   w->name, w->rescope.items[i]);
	return true;
}

/* The line of a section, for a message that is about its file. */
static unsigned place(struct parser *p, size_t section, size_t i)
{
	if (p->files[section][i])
		p->file = p->files[section][i];
	return p->lines[section][i];
}

/* The triggers' names are fixed, so a table can have one watch. */
static bool check_same_table(struct parser *p, size_t n)
{
	const struct conf_watch *w = p->conf->watches;

	for (size_t i = 0; i < n; i++)
		if (strcmp(w[i].parsed->schema, w[n].parsed->schema) == 0 &&
		    strcmp(w[i].parsed->table, w[n].parsed->table) == 0)
			return parser_fail(p, place(p, SECTION_WATCH, n),
					   "[watch %s] and [watch %s] have the same table",
					   w[n].name, w[i].name);
	return true;
}

bool check_conf(struct parser *p)
{
	struct conf *c = p->conf;
	const char *bad;

	p->file = c->path;
	p->line = p->main_line;
	if (*c->log_file && *c->log_file != '/')
		return parser_fail(p, p->line, "[log] file must begin with /");
	for (size_t i = 0; i < c->publishers.n; i++)
		if (strlen(c->publishers.items[i]) > 63 ||
		    !strcmp(c->publishers.items[i], "public"))
			return parser_fail(p, p->line,
					   "[publish] roles: \"%.80s\" is no role of a database",
					   c->publishers.items[i]);
	if (!c->n_roles)
		return parser_fail(p, p->line,
				   "there is no [role] section: nobody would hear anything");
	if (!c->n_auths)
		return parser_fail(p, p->line, "there is no [auth] section: nobody could connect");
	if (!forwarded_trust_parse(&c->trust, c->trusted_proxies.items, c->trusted_proxies.n, &bad))
		return parser_fail(
			p, p->line,
			"[server] trusted_proxies: \"%.80s\" is no address, no range such as "
			"10.0.0.0/8, and not unix:",
			bad);
	for (size_t i = 0; i < c->cors_origins.n; i++)
		if ((bad = origin_complaint(c->cors_origins.items[i])))
			return parser_fail(p, p->line, "[server] cors_origins: \"%.80s\" %s",
					   c->cors_origins.items[i], bad);
	if (c->client_memory && c->client_memory < CLIENT_MEMORY_MIN)
		return parser_fail(
			p, p->line,
			"[server] client_memory must be at least 128KiB, or 0 for no limit");
	if (!c->listen.n)
		return parser_fail(p, p->line, "[server] listen names no address");
	if (!c->n_routes)
		default_routes(c);
	for (size_t i = 0; i < c->n_auths; i++)
		if (!check_auth(p, &c->auths[i], place(p, SECTION_AUTH, i)))
			return false;
	for (size_t i = 0; i < c->n_routes; i++)
		if (!check_route(p, &c->routes[i], place(p, SECTION_ROUTE, i)))
			return false;
	for (size_t i = 0; i < c->n_routes; i++)
		if (!check_opens(p, &c->routes[i], place(p, SECTION_ROUTE, i)))
			return false;
	for (size_t i = 0; i < c->n_listens; i++)
		if (!check_listen(p, &c->listens[i], place(p, SECTION_LISTEN, i)))
			return false;
	for (size_t i = 0; i < c->n_watches; i++)
		if (!check_watch(p, &c->watches[i], place(p, SECTION_WATCH, i)) ||
		    !check_rescope(p, &c->watches[i], place(p, SECTION_WATCH, i)) ||
		    !check_same_table(p, i))
			return false;
	return true;
}
