/* SPDX-License-Identifier: PostgreSQL
 * Options, and which command runs. */
#include "config.h"

#include <getopt.h>
#include <libpq-fe.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "cli/check.h"
#include "cli/doctor.h"
#include "cli/explain.h"
#include "cli/init.h"
#include "cli/serve.h"
#include "cli/sql.h"
#include "cli/token.h"
#include "cli/types.h"
#include "conf.h"

#define DEFAULT_CONF SYSCONFDIR "/pgherald/pgherald.conf"

static const char usage_text[] =
	"Usage: pgherald [OPTION]... serve\n"
	"       pgherald init --dsn CONNINFO [OPTION]...\n"
	"       pgherald doctor [OPTION]...\n"
	"       pgherald explain --user USER --event ID | --row TOPIC:KEY [OPTION]...\n"
	"       pgherald sql COMMAND [OPTION]...\n"
	"       pgherald token key | hash | jwt [OPTION]...\n"
	"       pgherald types --ts | --json-schema [OPTION]...\n"
	"Tells browsers what changed in PostgreSQL.\n"
	"\n"
	"Commands:\n"
	"  serve              run the gateway in the foreground\n"
	"  init               look at a database and write a configuration (pgherald init --help)\n"
	"  doctor             say what is wrong on the way from the tables to the browser\n"
	"  explain            say why a user is told of a row, or not\n"
	"  sql COMMAND        render, install, upgrade, uninstall, check, prune: what is in the\n"
	"                     database (pgherald sql --help)\n"
	"  token              make API keys, their lines in a file, and JSON Web Tokens for tests\n"
	"  types              print what the events hold, as types of TypeScript or a JSON Schema\n"
	"\n"
	"Options:\n"
	"  -c, --config FILE  configuration file (default " DEFAULT_CONF ")\n"
	"  -t, --test         check the configuration file and exit\n"
	"      --print-config show the configuration with every default and exit\n"
	"      --list-settings  list every setting with its default and exit\n"
	"  -V, --version      show versions and exit\n"
	"  -h, --help         show this text and exit\n"
	"\n"
	"Manual pages: pgherald(8), pgherald-init(8), pgherald-doctor(8), "
	"pgherald-explain(8), pgherald-sql(8),\n"
	"pgherald-token(8), pgherald-types(8), pgherald.conf(5).\n";

static int version(void)
{
	int pq = PQlibVersion();

	printf("pgherald %s\nlibmicrohttpd %s\nlibpq %d.%d\n", PACKAGE_VERSION, MHD_get_version(),
	       pq / 10000, pq % 10000);
	return EXIT_SUCCESS;
}

static int list_settings(void)
{
	autobuf text = {0};

	buf_init(&text, 1 << 20);
	conf_list_settings(&text);
	fputs(buf_cstr(&text), stdout);
	return EXIT_SUCCESS;
}

static int misuse(const char *what, const char *word)
{
	fprintf(stderr, "pgherald: %s%s\nTry 'pgherald --help'.\n", what, word);
	return 2;
}

/* These read their own options: everything after that word is theirs. */
static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} commands[] = {
	{"doctor", cli_doctor},
	{"explain", cli_explain},
	{"init", cli_init},
	{"sql", cli_sql},
	{"token", cli_token},
	{"types", cli_types},
	{0},
};

/* The place of that word in the table, or of its end. */
static size_t place(const char *word)
{
	size_t i = 0;

	while (commands[i].name && strcmp(commands[i].name, word) != 0)
		i++;
	return i;
}

static int no_command(const char *word)
{
	if (!commands[place(word)].name)
		return misuse("unknown command ", word);
	return misuse("options come after the command: pgherald ", word);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"test", no_argument, NULL, 't'},
		{"print-config", no_argument, NULL, 'p'},
		{"list-settings", no_argument, NULL, 'l'},
		{"version", no_argument, NULL, 'V'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	const char *conf = DEFAULT_CONF;
	int action = 0, c;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc > 1 && commands[place(argv[1])].name)
		return commands[place(argv[1])].run(argc - 1, argv + 1);
	while ((c = getopt_long(argc, argv, "c:tVh", options, NULL)) != -1) {
		if (c == 'c')
			conf = optarg;
		else if (c == '?')
			return misuse("", "unknown or incomplete option");
		else
			action = c;
	}
	switch (action) {
	case 'h':
		fputs(usage_text, stdout);
		return EXIT_SUCCESS;
	case 'V':
		return version();
	case 'l':
		return list_settings();
	case 't':
	case 'p':
		if (optind < argc)
			return misuse("too many words, a file is named with -c: ", argv[optind]);
		return cli_check(conf, action == 'p');
	}
	if (optind == argc)
		return misuse("", "which command?");
	if (strcmp(argv[optind], "serve") != 0)
		return no_command(argv[optind]);
	if (optind + 1 < argc)
		return misuse("too many words: ", argv[optind + 1]);
	return cli_serve(conf);
}
