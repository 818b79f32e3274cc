/* SPDX-License-Identifier: PostgreSQL
 * See check.h. */
#include "config.h"
#include "cli/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "cli/settings.h"
#include "conf.h"
#include "sql/render_way.h"
#include "web/listen.h"

/* Whether there are such addresses; not whether they are free, since a daemon may be serving. */
static bool valid_listen(const struct conf *conf, struct buf *error)
{
	struct listen_set set = {0};
	bool ok = listen_resolve(&set, conf->listen.items, conf->listen.n, error);

	listen_free(&set);
	return ok;
}

/* Whether this watch says so when its rows get other owners that `way` leads to. */
static bool tells_owners(const struct watch *w, const struct way *way)
{
	bool named = false, owns = false;

	for (size_t i = 0; i < w->n_rescope; i++)
		named |= !strcmp(w->rescope[i], way->watch->topic);
	for (size_t i = 0; i < w->n_owners; i++)
		owns |= !w->owners[i].n_hops && !strcmp(w->owners[i].column, way->hop->value);
	return named && owns && !strcmp(w->schema, way->hop->schema) &&
	       !strcmp(w->table, way->hop->table);
}

static void hint_at_way(void *arg, const struct way *way)
{
	const struct conf *conf = arg;

	for (size_t i = 0; i < conf->n_watches; i++)
		if (tells_owners(conf->watches[i].parsed, way))
			return;
	printf("hint: [watch %s] who owns rows by way of %s.%s is not told when that table "
	       "changes: "
	       "see follow in pgherald.conf(5)\n",
	       way->watch->topic, way->hop->schema, way->hop->table);
}

int cli_check(const char *conf_path, int print)
{
	struct conf *conf = settings_load_or_say(conf_path, !print);
	autobuf text = {0};
	bool ok = true;

	if (!conf)
		return EXIT_FAILURE;
	buf_init(&text, 1 << 20);
	if (print) {
		conf_print(conf, &text);
		fputs(buf_cstr(&text), stdout);
	} else {
		ok = valid_listen(conf, &text);
		for (size_t i = 0; ok && i < conf->n_watches; i++)
			if (!conf->watches[i].follow)
				ways_of(conf->watches[i].parsed, hint_at_way, conf);
		if (ok)
			printf("%s: configuration OK\n", conf_path);
		else
			fprintf(stderr, "pgherald: %s: [server] %s\n", conf_path, buf_cstr(&text));
	}
	conf_unref(conf);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
