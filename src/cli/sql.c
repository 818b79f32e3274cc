/* SPDX-License-Identifier: PostgreSQL
 * See sql.h: the table of commands, and their options. */
#include "config.h"
#include "cli/sql.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/options.h"
#include "conf.h"
#include "dba/check.h"
#include "dba/connection.h"
#include "dba/install.h"
#include "dba/migration.h"
#include "dba/prune.h"
#include "dba/uninstall.h"
#include "dba/upgrade.h"

struct options {
	const char *config, *dsn, *watch, *role;
	bool apply, json, migration, help, list;
};

/* Exactly one of `gather` and `run` is set. */
struct command {
	const char *name, *what;
	bool applies; /* takes --apply, and connects with it only */
	bool watch;   /* takes --watch */
	bool connects;
	bool (*gather)(struct script *s, const struct conf *conf, const char *only);
	bool (*within)(struct script *s, const struct conf *conf,
		       const char *only); /* --migration */
	int (*run)(const struct conf *conf, const char *conninfo, bool apply, bool json);
};

static const struct command commands[] = {
	{"render", "the whole text of install, for review or a migration tool", false, true, false,
	 install_script, migration_install, NULL},
	{"install", "make the schema pgherald, the functions and the triggers", true, true, false,
	 install_script, NULL, NULL},
	{"upgrade", "replace the functions by this program's, without any table lock", true, true,
	 false, upgrade_script, NULL, NULL},
	{"uninstall", "take all of it, or one watch, out again", true, true, false,
	 uninstall_script, migration_uninstall, NULL},
	{"roles", "what an administrator runs once, so that a role may install", false, false,
	 false, migration_roles, NULL, NULL},
	{"check", "compare the database with the configuration and say what is wrong", false, false,
	 true, NULL, NULL, check_run},
	{"prune", "delete what is older than the configured retention", true, false, false, NULL,
	 NULL, prune_run},
};
enum { N_COMMANDS = sizeof(commands) / sizeof(*commands) };

static void print_usage(FILE *out)
{
	fputs("usage: pgherald sql COMMAND [OPTION]...\n", out);
	for (size_t i = 0; i < N_COMMANDS; i++)
		fprintf(out, "  %-10s  %s\n", commands[i].name, commands[i].what);
	fputs("SQL is printed, and run only with --apply.\n"
	      "  -c, --config FILE   configuration (" DEFAULT_CONF ")\n"
	      "      --apply         install, upgrade, uninstall, prune: run it\n"
	      "      --dsn CONNINFO  connect with this instead of [database] conninfo\n"
	      "      --watch TOPIC   render, install, upgrade, uninstall: only this table\n"
	      "      --migration     render, uninstall: for a transaction that is under way\n"
	      "      --for ROLE      roles: who is to install\n"
	      "      --json          check: findings as JSON\n"
	      "Manual page: pgherald-sql(8).\n",
	      out);
}

/* For the lint of the manual: what takes which option. */
static void print_list(void)
{
	for (size_t i = 0; i < N_COMMANDS; i++) {
		const struct command *c = &commands[i];

		printf("%s%s%s%s%s%s%s\n", c->name, c->applies ? " --apply" : "",
		       c->applies || c->connects ? " --dsn" : "", c->watch ? " --watch" : "",
		       c->within ? " --migration" : "",
		       c->gather == migration_roles ? " --for" : "",
		       c->run == check_run ? " --json" : "");
	}
}

static bool read_options(int argc, char **argv, struct options *o, int *ret_rest)
{
	const struct cli_option names[] = {
		{"config", .text = &o->config}, {"apply", .flag = &o->apply},
		{"dsn", .text = &o->dsn},	{"watch", .text = &o->watch},
		{"json", .flag = &o->json},	{"migration", .flag = &o->migration},
		{"for", .text = &o->role},	{"list", .flag = &o->list},
		{"help", .flag = &o->help},	{0},
	};

	return cli_options(argc, argv, names, ret_rest);
}

static const struct command *find(const char *name)
{
	for (size_t i = 0; i < N_COMMANDS; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

/* An option that would silently do nothing is a mistake; --dsn may stand everywhere. */
static bool fits(const struct command *c, const struct options *o)
{
	const char *wrong = o->apply && (!c->applies || o->migration) ? "--apply"
			    : o->watch && !c->watch		      ? "--watch"
			    : o->migration && !c->within	      ? "--migration"
			    : o->role && c->gather != migration_roles ? "--for"
			    : o->json && c->run != check_run	      ? "--json"
								      : NULL;

	if (wrong)
		fprintf(stderr, "pgherald: sql %s takes no %s\n", c->name, wrong);
	return !wrong;
}

static int gather_and_go(const struct command *c, const struct options *o, const struct conf *conf,
			 const char *conninfo)
{
	struct script steps = {0};
	const char *about = c->gather == migration_roles ? o->role : o->watch;
	bool ok = (o->migration ? c->within : c->gather)(&steps, conf, about);

	ok = ok && (o->apply ? connection_apply(&steps, conninfo) : script_print(&steps));
	script_free(&steps);
	return ok ? 0 : 1;
}

static int work(const struct command *c, const struct options *o)
{
	autobuf error = {0};
	struct conf *conf;
	const char *conninfo;
	int status;

	buf_init(&error, 4096);
	conf = conf_load(o->config, &error);
	if (!conf) {
		fprintf(stderr, "pgherald: %s\n", buf_cstr(&error));
		return c->connects ? 2 : 1;
	}
	conninfo = o->dsn ? o->dsn : conf->conninfo ? conf->conninfo : "";
	status = c->gather ? gather_and_go(c, o, conf, conninfo)
			   : c->run(conf, conninfo, o->apply, o->json);
	conf_unref(conf);
	return status;
}

int cli_sql(int argc, char **argv)
{
	struct options o = {.config = DEFAULT_CONF};
	const struct command *command;
	int rest;
	bool understood = read_options(argc, argv, &o, &rest);

	if (understood && o.help) {
		print_usage(stdout);
		return 0;
	}
	if (understood && o.list) {
		print_list();
		return 0;
	}
	command = understood && rest + 1 == argc ? find(argv[rest]) : NULL;
	if (!command || !fits(command, &o)) {
		print_usage(stderr);
		/* 1 would tell a script of check that something is wrong in the database */
		return command && command->connects ? 2 : 1;
	}
	return work(command, &o);
}
