/* SPDX-License-Identifier: PostgreSQL
 * See doctor.h: options, and the order of the stops. */
#include "config.h"
#include "cli/doctor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/options.h"
#include "doctor/visit.h"
#include "init/text.h"

enum { TOKEN_LINE = 600 };

struct options {
	const char *config, *dsn, *url, *token_file;
	bool quick, json, help;
};

static const char usage_text[] =
	"usage: pgherald doctor [OPTION]...\n"
	"Goes the way of an event, from the tables to the browser, and says what is wrong on it.\n"
	"  -c, --config FILE      configuration (" DEFAULT_CONF ")\n"
	"      --dsn CONNINFO     an administrator's connection, for what `pgherald sql check` "
	"asks\n"
	"      --url URL          the address of the stream that users open, through the proxy\n"
	"      --token-file FILE  a token (or the session's key) of a user, alone in a line; - "
	"for\n"
	"                         standard input\n"
	"      --quick            do not wait for a keep-alive\n"
	"      --json             findings as JSON\n"
	"Manual page: pgherald-doctor(8).\n";

static bool read_options(int argc, char **argv, struct options *o)
{
	const struct cli_option names[] = {
		{"config", .text = &o->config}, {"dsn", .text = &o->dsn},
		{"url", .text = &o->url},	{"token-file", .text = &o->token_file},
		{"quick", .flag = &o->quick},	{"json", .flag = &o->json},
		{"help", .flag = &o->help},	{0},
	};
	int rest;

	return cli_options(argc, argv, names, &rest) && cli_no_more(argc, argv, rest);
}

static bool say_no(const char *what, const char *about)
{
	fprintf(stderr, "pgherald: %s%s\n", what, about);
	return false;
}

/* The first line, into `token`. */
static bool read_token(const char *path, char token[TOKEN_LINE])
{
	FILE *f = strcmp(path, "-") ? fopen(path, "re") : stdin;
	bool ok = f && fgets(token, TOKEN_LINE, f);

	if (!f)
		return say_no("cannot read the token: ", strerror(errno));
	if (f != stdin)
		fclose(f);
	if (!ok)
		return say_no("there is no token in ", path);
	token[strcspn(token, "\r\n")] = '\0';
	for (const char *p = token; *p; p++)
		if (*p <= ' ' || *p > '~')
			return say_no("what stands there is no token: ", path);
	return *token || say_no("there is no token in ", path);
}

static bool valid_url(const char *url)
{
	return !strncmp(url, "http://", 7) || !strncmp(url, "https://", 8) ||
	       say_no("--url must begin with http:// or https://: ", url);
}

/* The socket unit of the service that reads this file; NULL for a file that none does. The caller
 * frees. */
static char *unit_of(const char *path)
{
	autofree char *instance = text_instance(path);

	if (!strcmp(path, DEFAULT_CONF))
		return xstrdup("pgherald.socket");
	return instance ? xasprintf("pgherald@%s.socket", instance) : NULL;
}

static int visit(struct visit *v)
{
	visit_conf(v);
	visit_database(v);
	visit_machine(v);
	if (v->url)
		visit_edge(v);
	else
		visit_say(v, "The way to the browser: not asked; --url names the address.");
	return report_end(&v->report);
}

int cli_doctor(int argc, char **argv)
{
	struct options o = {.config = DEFAULT_CONF};
	struct visit v = {0};
	char token[TOKEN_LINE] = "";
	struct conf *conf;
	autobuf error = {0};
	autofree char *unit = NULL;
	int status;

	if (!read_options(argc, argv, &o)) {
		fputs(usage_text, stderr);
		return 2;
	}
	if (o.help) {
		fputs(usage_text, stdout);
		return 0;
	}
	if ((o.url && !valid_url(o.url)) || (o.token_file && !read_token(o.token_file, token)))
		return 2;
	buf_init(&error, 65536);
	conf = conf_load(o.config, &error);
	if (!conf || !conf_load_secrets(conf, &error)) {
		report_begin(&v.report, o.json);
		visit_find(&v, "conf-refused", "configuration", buf_cstr(&error),
			   "pgherald -t says the same; pgherald init writes a new one");
		conf_unref(conf);
		return report_end(&v.report);
	}
	v.conf = conf;
	v.conf_path = o.config;
	v.socket_unit = unit = unit_of(o.config);
	v.dsn = o.dsn;
	v.url = o.url;
	v.token = *token ? token : NULL;
	v.quick = o.quick;
	report_begin(&v.report, o.json);
	status = visit(&v);
	explicit_bzero(token, sizeof(token));
	conf_unref(conf);
	return status;
}
