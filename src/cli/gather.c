/* SPDX-License-Identifier: PostgreSQL
 * See gather.h. */
#include "config.h"
#include "cli/gather.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/upgrade.h"
#include "sql/render.h"

static bool failed(const char *what, const char *about)
{
	fprintf(stderr, "pgherald: %s%s\n", what, about);
	return false;
}

static void add_step(struct steps *s, char *title, struct buf *sql)
{
	steps_add(s, title, buf_steal(sql));
}

static bool add_watch(struct steps *s, const struct conf_watch *w, bool install)
{
	autobuf sql = {0};

	buf_init(&sql, RENDER_MAX);
	if (install)
		render_watch(&sql, w->parsed);
	else
		render_unwatch(&sql, w->parsed);
	if (!buf_ok(&sql))
		return failed("too many fields in watch ", w->name);
	add_step(s, xasprintf("watch %s (%s.%s)", w->name, w->parsed->schema, w->parsed->table),
		 &sql);
	return true;
}

static bool add_auth(struct steps *s, const struct conf *conf, const struct conf_auth *a)
{
	autobuf sql = {0}, error = {0};
	const char **roles = xcalloc(conf->n_roles + 1, sizeof(*roles));
	struct render_auth auth = {
		.name = a->name,
		.token_table = a->token_table,
		.token_column = a->token_column,
		.token_user = a->token_user,
		.user_table = a->user_table,
		.user_key = a->user_key,
		.user_active = a->user_active,
		.hashed = a->preset == PRESET_KNOX,
		.sessions = a->preset == PRESET_SESSION,
		.user_password = a->user_password,
		.token_expires = a->token_expires,
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
	};
	bool ok;

	buf_init(&sql, RENDER_MAX);
	buf_init(&error, 1024);
	for (size_t i = 0; i < conf->n_roles; i++)
		roles[i] = conf->roles[i].name;
	ok = render_auth(&sql, &auth, &error);
	free(roles);
	if (!ok || !buf_ok(&sql)) {
		fprintf(stderr, "pgherald: auth %s: %s\n", a->name, buf_cstr(&error));
		return false;
	}
	add_step(s, xasprintf("auth %s", a->name), &sql);
	return true;
}

static bool known(const struct conf *conf, const char *only)
{
	for (size_t i = 0; only && i < conf->n_watches; i++)
		if (strcmp(conf->watches[i].name, only) == 0)
			return true;
	return !only || failed("the configuration has no watch ", only);
}

static bool add_watches(struct steps *s, const struct conf *conf, const char *only, bool install)
{
	for (size_t i = 0; i < conf->n_watches; i++)
		if ((!only || strcmp(conf->watches[i].name, only) == 0) &&
		    !add_watch(s, &conf->watches[i], install))
			return false;
	return true;
}

static void add_core(struct steps *s, const struct conf *conf)
{
	autobuf sql = {0};
	const char **topics = xcalloc(conf->n_watches + 1, sizeof(*topics));
	size_t n = 0;

	for (size_t i = 0; i < conf->n_watches; i++)
		if (!conf->watches[i].parsed->notify)
			topics[n++] = conf->watches[i].parsed->topic;
	buf_init(&sql, RENDER_MAX);
	render_core(&sql, conf->login, conf->journal_size, topics, n);
	free(topics);
	add_step(s, xstrdup("core"), &sql);
}

bool gather_install(struct steps *s, const struct conf *conf, const char *only)
{
	if (!known(conf, only))
		return false;
	add_core(s, conf);
	if (!add_watches(s, conf, only, true))
		return false;
	for (size_t i = 0; !only && i < conf->n_auths; i++)
		if (!add_auth(s, conf, &conf->auths[i]))
			return false;
	return true;
}

bool gather_upgrade(struct steps *s, const struct conf *conf, const char *only)
{
	struct steps pieces = {0};
	struct rendered core = {0};
	bool ok = gather_install(&pieces, conf, only);

	if (ok)
		rendered_read(&core, pieces.items[0].sql);
	for (size_t i = 0; ok && i < pieces.n; i++) {
		autobuf sql = {0};

		buf_init(&sql, 2 * RENDER_MAX);
		upgrade_render(&sql, pieces.items[i].title, pieces.items[i].sql,
			       core.schema_version);
		add_step(s, xstrdup(pieces.items[i].title), &sql);
	}
	rendered_free(&core);
	steps_free(&pieces);
	return ok;
}

/* What no other part of the configuration needs, goes with the watch. */
static bool add_revokes(struct steps *s, const struct conf *conf, const char *only)
{
	struct rendered gone = {0}, stays = {0};
	struct steps one = {0}, others = {0};
	autobuf sql = {0};
	bool ok = add_watches(&one, conf, only, true);

	buf_init(&sql, RENDER_MAX);
	for (size_t i = 0; ok && i < conf->n_watches; i++)
		if (strcmp(conf->watches[i].name, only) != 0)
			ok = add_watch(&others, &conf->watches[i], true);
	for (size_t i = 0; ok && i < conf->n_auths; i++)
		ok = add_auth(&others, conf, &conf->auths[i]);
	for (size_t i = 0; ok && i < one.n; i++)
		rendered_read(&gone, one.items[i].sql);
	for (size_t i = 0; ok && i < others.n; i++)
		rendered_read(&stays, others.items[i].sql);
	if (ok && upgrade_render_revoke(&sql, only, &gone, &stays))
		add_step(s, xasprintf("rights of watch %s", only), &sql);
	rendered_free(&gone);
	rendered_free(&stays);
	steps_free(&one);
	steps_free(&others);
	return ok;
}

bool gather_uninstall(struct steps *s, const struct conf *conf, const char *only)
{
	autobuf sql = {0};

	if (!known(conf, only) || !add_watches(s, conf, only, false))
		return false;
	if (only)
		return add_revokes(s, conf, only);
	buf_init(&sql, RENDER_MAX);
	render_uninstall(&sql, conf->login);
	add_step(s, xstrdup("schema and roles"), &sql);
	return true;
}

bool gather_wanted(struct rendered *r, const struct conf *conf)
{
	struct steps pieces = {0};
	bool ok = gather_install(&pieces, conf, NULL);

	for (size_t i = 0; ok && i < pieces.n; i++)
		rendered_read(r, pieces.items[i].sql);
	steps_free(&pieces);
	return ok;
}
