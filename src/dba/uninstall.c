/* SPDX-License-Identifier: PostgreSQL
 * See uninstall.h. */
#include "config.h"
#include "dba/uninstall.h"

#include <string.h>

#include "dba/pieces.h"
#include "dba/rights.h"
#include "sql/render.h"

/* What no other part of the configuration needs goes with the watch. */
static bool add_revokes(struct script *s, const struct conf *conf, const char *only)
{
	struct objects stays = {0};
	struct script others = {0};
	autobuf sql = {0};
	bool ok = true;

	pieces_core(&others, conf);
	for (size_t i = 0; ok && i < conf->n_watches; i++)
		if (strcmp(conf->watches[i].name, only) != 0)
			ok = pieces_watch(&others, conf, &conf->watches[i], true);
	for (size_t i = 0; ok && i < conf->n_auths; i++)
		ok = pieces_auth(&others, conf, &conf->auths[i]);
	for (size_t i = 0; ok && i < others.n; i++)
		objects_read(&stays, others.items[i].sql);
	buf_init(&sql, RENDER_MAX);
	rights_revoke_unneeded(&sql, &stays);
	if (ok)
		script_add(s, xasprintf("rights of watch %s", only), buf_steal(&sql));
	objects_free(&stays);
	script_free(&others);
	return ok;
}

bool uninstall_script(struct script *s, const struct conf *conf, const char *only)
{
	autobuf sql = {0};

	if (!pieces_know(conf, only) || !pieces_watches(s, conf, only, false))
		return false;
	if (only)
		return add_revokes(s, conf, only);
	buf_init(&sql, RENDER_MAX);
	render_silence(&sql, conf->login);
	script_add(s, xstrdup("the daemon"), buf_steal(&sql));
	buf_init(&sql, RENDER_MAX);
	render_uninstall(&sql, conf->login);
	script_add(s, xstrdup("schema and roles"), buf_steal(&sql));
	return true;
}
