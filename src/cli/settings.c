/* SPDX-License-Identifier: PostgreSQL
 * See settings.h. */
#include "config.h"
#include "cli/settings.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "conf.h"
#include "source/sources.h"

#define TEXT_MAX 65536

/* libpq's own word on [database] conninfo; its message quotes no value. */
static bool valid_conninfo(const struct conf *conf, struct buf *error)
{
	char *why = NULL;
	PQconninfoOption *options = PQconninfoParse(conf->conninfo, &why);

	if (!options)
		buf_printf(error, "%s: [database] conninfo: %.*s", conf->path,
			   why ? (int)strcspn(why, "\n") : 0, why ? why : "");
	PQconninfoFree(options);
	PQfreemem(why);
	return options != NULL;
}

struct conf *settings_load(const char *path, bool strict, struct buf *error)
{
	struct conf *conf = conf_load(path, error);

	if (conf && strict &&
	    !(valid_conninfo(conf, error) && conf_load_secrets(conf, error) &&
	      sources_valid(conf, error))) {
		conf_unref(conf);
		conf = NULL;
	}
	return conf;
}

struct conf *settings_load_or_say(const char *path, bool strict)
{
	autobuf error = {.max = TEXT_MAX};
	struct conf *conf = settings_load(path, strict, &error);

	if (!conf)
		fprintf(stderr, "pgherald: %s\n", buf_cstr(&error));
	return conf;
}

/* Somebody may have meant it for a day. */
static void warn_of_everybody(const struct conf *conf)
{
	for (size_t i = 0; i < conf->n_routes; i++) {
		const struct conf_route *r = &conf->routes[i];
		const struct conf_auth *a = conf_find_auth(conf, r->auth.items[r->auth.n - 1]);

		if (a->preset == PRESET_NONE)
			log_warn("%s lets everybody in, as %s: [route %s] has a door with preset = "
				 "none%s%s",
				 r->path, a->role, r->name, r->opened_by ? ", by " : "",
				 r->opened_by ? r->opened_by : "");
	}
}

static void warn_of_insecure(const struct conf *conf)
{
	if (conf->allow_insecure)
		log_warn("[server] allow_insecure = yes: variables of the environment may let "
			 "everybody in, wherever pgherald listens");
}

static void warn_of_pages(const struct conf *conf)
{
	if (conf->developer)
		log_warn("[server] developer = yes: there are test pages, which are for nobody's "
			 "users");
}

/* Who looks for the reason in the file alone does not find it. */
static void tell_environment(const struct conf *conf)
{
	autobuf text = {.max = TEXT_MAX};

	environment_print(conf, &text);
	if (text.len)
		log_info("from the environment, on top of the file: %s", buf_cstr(&text));
}

void settings_tell(const struct conf *conf)
{
	tell_environment(conf);
	warn_of_everybody(conf);
	warn_of_insecure(conf);
	warn_of_pages(conf);
}
