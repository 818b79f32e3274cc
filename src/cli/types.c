/* SPDX-License-Identifier: PostgreSQL
 * See types.h. */
#include "config.h"
#include "cli/types.h"

#include <libpq-fe.h>
#include <stdio.h>

#include "base/buf.h"
#include "cli/options.h"
#include "conf.h"
#include "dba/connection.h"
#include "types/columns.h"
#include "types/schema.h"
#include "types/typescript.h"

enum { OUTPUT_MAX = 16 << 20 };

struct options {
	const char *config, *dsn;
	bool ts, schema, help;
};

static const char usage_text[] =
	"usage: pgherald types --ts | --json-schema [OPTION]...\n"
	"Prints what the events of a configuration hold.\n"
	"      --ts               as types of TypeScript\n"
	"      --json-schema      as a JSON Schema of every message\n"
	"  -c, --config FILE      configuration (" DEFAULT_CONF ")\n"
	"      --dsn CONNINFO     look up the columns' types in this database\n"
	"Manual page: pgherald-types(8).\n";

static bool read_options(int argc, char **argv, struct options *o)
{
	const struct cli_option names[] = {
		{"ts", .flag = &o->ts},		{"json-schema", .flag = &o->schema},
		{"config", .text = &o->config}, {"dsn", .text = &o->dsn},
		{"help", .flag = &o->help},	{0},
	};
	int rest;

	return cli_options(argc, argv, names, &rest) && cli_no_more(argc, argv, rest) &&
	       (o->help || o->ts != o->schema);
}

static bool look(const char *dsn, struct topics *t)
{
	PGconn *db = connection_open_admin(dsn);
	bool ok = db && columns_look(db, t);

	PQfinish(db);
	return ok;
}

static int print(const struct options *o, const struct conf *conf)
{
	struct topics t;
	autobuf out = {0};
	bool ok;

	buf_init(&out, OUTPUT_MAX);
	topics_of(&t, conf);
	ok = !o->dsn || look(o->dsn, &t);
	if (ok && o->ts)
		typescript_write(&out, &t);
	else if (ok)
		schema_write(&out, &t);
	topics_free(&t);
	if (ok && !buf_ok(&out)) {
		fputs("pgherald: that becomes too long\n", stderr);
		ok = false;
	}
	if (ok && (fputs(buf_cstr(&out), stdout) == EOF || fflush(stdout))) {
		perror("pgherald: standard output");
		ok = false;
	}
	return ok ? 0 : 1;
}

int cli_types(int argc, char **argv)
{
	struct options o = {.config = DEFAULT_CONF};
	struct conf *conf;
	autobuf error = {0};
	int status;

	if (!read_options(argc, argv, &o)) {
		fputs(usage_text, stderr);
		return 2;
	}
	if (o.help) {
		fputs(usage_text, stdout);
		return 0;
	}
	buf_init(&error, 65536);
	conf = conf_load(o.config, &error);
	if (!conf) {
		fprintf(stderr, "pgherald: %s\n", buf_cstr(&error));
		return 1;
	}
	status = print(&o, conf);
	conf_unref(conf);
	return status;
}
