/* SPDX-License-Identifier: PostgreSQL
 * See sql.h: options, and which pieces in which order. */
#include "config.h"
#include "cli/sql.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/steps.h"
#include "conf.h"
#include "sql/render.h"

#define DEFAULT_CONF SYSCONFDIR "/pgherald/pgherald.conf"

static const char usage[] =
	"usage: pgherald sql install|uninstall|render [options]\n"
	"  install     make the schema pgherald, the functions and the triggers\n"
	"  uninstall   take all of it out again\n"
	"  render      the text of install, for review or a migration tool\n"
	"Without --apply the SQL is printed, not run.\n"
	"  -c, --config FILE   configuration (" DEFAULT_CONF ")\n"
	"      --apply         run it, one transaction per step\n"
	"      --dsn CONNINFO  connect with this instead of [database] conninfo\n"
	"      --watch TOPIC   only this table\n";

struct options {
	const char *config, *dsn, *watch;
	bool apply, help;
};

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
	autobuf sql;

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
	autobuf sql, error;
	const char **roles = xcalloc(conf->n_roles + 1, sizeof(*roles));
	struct render_auth auth = {
		.name = a->name,
		.token_table = a->token_table,
		.token_column = a->token_column,
		.token_user = a->token_user,
		.user_table = a->user_table,
		.user_key = a->user_key,
		.user_active = a->user_active,
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

/* The triggers' names are fixed, so a table can have one watch. */
static bool tables_differ(const struct conf *conf)
{
	for (size_t i = 0; i < conf->n_watches; i++)
		for (size_t j = 0; j < i; j++) {
			const struct watch *a = conf->watches[i].parsed,
					   *b = conf->watches[j].parsed;

			if (strcmp(a->schema, b->schema) == 0 && strcmp(a->table, b->table) == 0) {
				fprintf(stderr,
					"pgherald: watch %s and watch %s have the same table\n",
					b->topic, a->topic);
				return false;
			}
		}
	return true;
}

static bool collect(struct steps *s, const struct conf *conf, const char *only, bool install)
{
	bool found = !only;
	autobuf sql;

	buf_init(&sql, RENDER_MAX);
	if (install) {
		render_core(&sql, conf->login);
		add_step(s, xstrdup("core"), &sql);
	}
	for (size_t i = 0; i < conf->n_watches; i++) {
		if (only && strcmp(conf->watches[i].name, only) != 0)
			continue;
		found = true;
		if (!add_watch(s, &conf->watches[i], install))
			return false;
	}
	if (!found)
		return failed("the configuration has no watch ", only);
	for (size_t i = 0; install && !only && i < conf->n_auths; i++)
		if (!add_auth(s, conf, &conf->auths[i]))
			return false;
	if (!install && !only) {
		render_uninstall(&sql, conf->login);
		add_step(s, xstrdup("schema and roles"), &sql);
	}
	return true;
}

static bool work(const struct options *o, bool install)
{
	autobuf error;
	struct steps steps = {0};
	struct conf *conf;
	const char *conninfo;
	bool ok;

	buf_init(&error, 4096);
	conf = conf_load(o->config, &error);
	if (!conf)
		return failed("", buf_cstr(&error));
	conninfo = o->dsn ? o->dsn : conf->conninfo ? conf->conninfo : "";
	ok = tables_differ(conf) && collect(&steps, conf, o->watch, install) &&
	     (o->apply ? steps_apply(&steps, conninfo) : steps_print(&steps));
	steps_free(&steps);
	conf_unref(conf);
	return ok;
}

static bool read_options(int argc, char **argv, struct options *o)
{
	static const struct option names[] = {
		{"config", required_argument, NULL, 'c'}, {"apply", no_argument, NULL, 'a'},
		{"dsn", required_argument, NULL, 'd'},	  {"watch", required_argument, NULL, 'w'},
		{"help", no_argument, NULL, 'h'},	  {NULL, 0, NULL, 0},
	};
	int c;

	optind = 1;
	while ((c = getopt_long(argc, argv, "c:h", names, NULL)) != -1) {
		switch (c) {
		case 'c':
			o->config = optarg;
			break;
		case 'a':
			o->apply = true;
			break;
		case 'd':
			o->dsn = optarg;
			break;
		case 'w':
			o->watch = optarg;
			break;
		case 'h':
			o->help = true;
			break;
		default:
			return false;
		}
	}
	return true;
}

int cli_sql(int argc, char **argv)
{
	struct options o = {.config = DEFAULT_CONF};
	const char *command;
	bool install, known;

	if (!read_options(argc, argv, &o)) {
		fputs(usage, stderr);
		return 1;
	}
	if (o.help) {
		fputs(usage, stdout);
		return 0;
	}
	command = optind < argc ? argv[optind] : "";
	install = strcmp(command, "install") == 0 || strcmp(command, "render") == 0;
	known = install || strcmp(command, "uninstall") == 0;
	if (!known || optind + 1 != argc) {
		fputs(usage, stderr);
		return 1;
	}
	if (strcmp(command, "render") == 0)
		o.apply = false;
	return work(&o, install) ? 0 : 1;
}
