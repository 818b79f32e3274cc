/* SPDX-License-Identifier: PostgreSQL
 * See pieces.h. */
#include "config.h"
#include "dba/pieces.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sql/render.h"
#include "sql/render_way.h"

static bool failed(const char *what, const char *about)
{
	fprintf(stderr, "pgherald: %s%s\n", what, about);
	return false;
}

bool pieces_know(const struct conf *conf, const char *only)
{
	for (size_t i = 0; only && i < conf->n_watches; i++)
		if (strcmp(conf->watches[i].name, only) == 0)
			return true;
	return !only || failed("the configuration has no watch ", only);
}

void pieces_core(struct script *s, const struct conf *conf)
{
	autobuf sql = {0};
	const struct watch **told = xcalloc(conf->n_watches + 1, sizeof(*told));
	size_t n = 0;

	for (size_t i = 0; i < conf->n_watches; i++)
		if (!conf->watches[i].parsed->notify)
			told[n++] = conf->watches[i].parsed;
	buf_init(&sql, RENDER_MAX);
	render_core(&sql, &(struct render_core){
				  .login = conf->login,
				  .journal_bytes = conf->journal_size,
				  .told = told,
				  .n_told = n,
				  .publishers = (const char *const *)conf->publishers.items,
				  .n_publishers = conf->publishers.n,
				  .doorbell = (enum watch_doorbell)conf->doorbell,
			  });
	free(told);
	script_add(s, xstrdup("core"), buf_steal(&sql));
}

struct ways {
	struct script *script;
	const struct render_all *all; /* NULL to take them out */
};

/* A table of its own in a transaction of its own: nothing holds one while it waits for another. */
static void add_way(void *arg, const struct way *way)
{
	struct ways *ways = arg;
	autobuf sql = {0};

	buf_init(&sql, RENDER_MAX);
	if (ways->all)
		render_way(&sql, way, ways->all);
	else
		render_unway(&sql, way);
	script_add(ways->script,
		   xasprintf("watch %s, owners by way of %s.%s", way->watch->topic,
			     way->hop->schema, way->hop->table),
		   buf_steal(&sql));
}

static bool add_watch(struct script *s, const struct conf_watch *w, const struct render_all *all)
{
	struct ways ways = {s, all};
	autobuf sql = {0};
	bool install = all;

	if (!install && w->parsed->follow) /* what calls it goes first */
		ways_of(w->parsed, add_way, &ways);
	buf_init(&sql, RENDER_MAX);
	if (install)
		render_watch(&sql, w->parsed, all);
	else
		render_unwatch(&sql, w->parsed);
	if (!buf_ok(&sql))
		return failed("too many fields in watch ", w->name);
	script_add(s, xasprintf("watch %s (%s.%s)", w->name, w->parsed->schema, w->parsed->table),
		   buf_steal(&sql));
	if (install && w->parsed->follow)
		ways_of(w->parsed, add_way, &ways);
	return true;
}

bool pieces_watch(struct script *s, const struct conf *conf, const struct conf_watch *w,
		  bool install)
{
	const struct watch **all = xcalloc(conf->n_watches + 1, sizeof(*all));
	bool ok;

	for (size_t i = 0; i < conf->n_watches; i++)
		all[i] = conf->watches[i].parsed;
	ok = add_watch(s, w, install ? &(struct render_all){all, conf->n_watches} : NULL);
	free(all);
	return ok;
}

bool pieces_watches(struct script *s, const struct conf *conf, const char *only, bool install)
{
	for (size_t i = 0; i < conf->n_watches; i++)
		if ((!only || strcmp(conf->watches[i].name, only) == 0) &&
		    !pieces_watch(s, conf, &conf->watches[i], install))
			return false;
	return true;
}

/* The tables that credentials are looked up in, of all sections, and room for all that are watched;
 * the caller frees the list. */
static const char **auth_tables(const struct conf *conf, size_t *n)
{
	const char **tables = xcalloc(4 * conf->n_auths + conf->n_watches + 1, sizeof(*tables));

	*n = 0;
	for (size_t i = 0; i < conf->n_auths; i++) {
		const struct conf_auth *a = &conf->auths[i];

		if (a->preset == PRESET_TICKET || !conf_auth_asks(a))
			continue;
		if (!conf_auth_verifies(a))
			tables[(*n)++] = a->token_table;
		tables[(*n)++] = a->user_table;
		if (a->role_from == ROLE_FROM_GROUPS) {
			tables[(*n)++] = a->group_table;
			tables[(*n)++] = a->membership_table;
		}
	}
	return tables;
}

bool pieces_auth(struct script *s, const struct conf *conf, const struct conf_auth *a)
{
	autobuf sql = {0}, error = {0};
	const char **roles = xcalloc(conf->n_roles + 1, sizeof(*roles));
	struct render_auth auth = {
		.name = a->name,
		.login = conf->login,
		.token_table = a->token_table,
		.token_column = a->token_column,
		.token_user = a->token_user,
		.user_table = a->user_table,
		.user_key = a->user_key,
		.user_active = a->user_active,
		.hash = a->preset == PRESET_KNOX     ? RENDER_HASH_KNOX
			: a->preset == PRESET_APIKEY ? RENDER_HASH_SHA256
						     : RENDER_HASH_NONE,
		.sessions = a->preset == PRESET_SESSION,
		.users = conf_auth_verifies(a),
		.user_password = a->user_password,
		.token_expires = a->token_expires,
		.token_channels = a->token_channels,
		.doorbell = (enum watch_doorbell)conf->doorbell,
		.role_from = a->role_from == ROLE_FROM_GROUPS  ? RENDER_ROLE_GROUPS
			     : a->role_from == ROLE_FROM_STAFF ? RENDER_ROLE_STAFF
							       : RENDER_ROLE_COLUMN,
		.role_column = a->role_column,
		.group_table = a->group_table,
		.membership_table = a->membership_table,
		.membership_user = a->membership_user,
		.membership_group = a->membership_group,
		.staff_role = a->staff_role,
		.other_role = a->other_role,
		.roles = roles,
		.n_roles = conf->n_roles,
		.trusted_owners = (const char *const *)conf->trusted_owners.items,
		.n_trusted_owners = conf->trusted_owners.n,
	};
	const char **tables;
	bool ok;

	buf_init(&sql, RENDER_MAX);
	if (a->preset == PRESET_TICKET) {
		render_ticket(&sql, conf->login);
		script_add(s, xasprintf("auth %s", a->name), buf_steal(&sql));
	}
	if (a->preset == PRESET_TICKET || !conf_auth_asks(a)) {
		free(roles);
		return true;
	}
	buf_init(&error, 1024);
	for (size_t i = 0; i < conf->n_roles; i++)
		roles[i] = conf->roles[i].name;
	auth.tables = tables = auth_tables(conf, &auth.n_tables);
	ok = render_auth(&sql, &auth, &error);
	free(roles);
	free(tables);
	if (!ok || !buf_ok(&sql)) {
		fprintf(stderr, "pgherald: auth %s: %s\n", a->name, buf_cstr(&error));
		return false;
	}
	script_add(s, xasprintf("auth %s", a->name), buf_steal(&sql));
	return true;
}

bool pieces_authorize(struct script *s, const struct conf *conf, const struct conf_route *r)
{
	struct render_authorize a = {
		.name = r->name,
		.login = conf->login,
		.function = r->authorize,
		.trusted_owners = (const char *const *)conf->trusted_owners.items,
		.n_trusted_owners = conf->trusted_owners.n,
	};
	autobuf sql = {0}, error = {0};
	const char **tables;
	bool ok;

	if (!*r->authorize)
		return true;
	buf_init(&sql, RENDER_MAX);
	buf_init(&error, 1024);
	a.tables = tables = auth_tables(conf, &a.n_tables);
	for (size_t i = 0; i < conf->n_watches; i++)
		tables[a.n_tables++] = conf->watches[i].table;
	ok = render_authorize(&sql, &a, &error);
	free(tables);
	if (!ok || !buf_ok(&sql)) {
		fprintf(stderr, "pgherald: route %s: %s\n", r->name, buf_cstr(&error));
		return false;
	}
	script_add(s, xasprintf("route %s", r->name), buf_steal(&sql));
	return true;
}
