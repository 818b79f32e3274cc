/* SPDX-License-Identifier: PostgreSQL
 * See install.h. */
#include "config.h"
#include "dba/install.h"

#include "dba/pieces.h"
#include "dba/rights.h"
#include "sql/render.h"

bool install_pieces(struct script *s, const struct conf *conf, const char *only)
{
	if (!pieces_know(conf, only))
		return false;
	pieces_core(s, conf);
	if (!pieces_watches(s, conf, only, true))
		return false;
	for (size_t i = 0; !only && i < conf->n_auths; i++)
		if (!pieces_auth(s, conf, &conf->auths[i]))
			return false;
	for (size_t i = 0; !only && i < conf->n_routes; i++)
		if (!pieces_authorize(s, conf, &conf->routes[i]))
			return false;
	return true;
}

static void read_objects(struct objects *r, const struct script *s)
{
	for (size_t i = 0; i < s->n; i++)
		objects_read(r, s->items[i].sql);
}

bool install_without_dump(struct script *s, const struct conf *conf, const char *only)
{
	struct objects all = {0};
	autobuf sql = {0};

	if (!install_pieces(s, conf, only))
		return false;
	if (only)
		return true;
	buf_init(&sql, RENDER_MAX);
	read_objects(&all, s);
	rights_revoke_unneeded(&sql, &all);
	script_add(s, xstrdup("rights"), buf_steal(&sql));
	objects_free(&all);
	return true;
}

bool install_script(struct script *s, const struct conf *conf, const char *only)
{
	autobuf sql = {0};

	if (!install_without_dump(s, conf, only))
		return false;
	if (only)
		return true;
	buf_init(&sql, RENDER_MAX);
	rights_grant_dump(&sql);
	script_add(s, xstrdup("backups"), buf_steal(&sql));
	return true;
}

bool install_objects(struct objects *r, const struct conf *conf)
{
	struct script pieces = {0};
	bool ok = install_pieces(&pieces, conf, NULL);

	read_objects(r, &pieces);
	script_free(&pieces);
	return ok;
}
