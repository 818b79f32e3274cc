/* SPDX-License-Identifier: PostgreSQL
 * See install.h. */
#include "config.h"
#include "dba/install.h"

#include "dba/pieces.h"

bool install_script(struct script *s, const struct conf *conf, const char *only)
{
	if (!pieces_know(conf, only))
		return false;
	pieces_core(s, conf);
	if (!pieces_watches(s, conf, only, true))
		return false;
	for (size_t i = 0; !only && i < conf->n_auths; i++)
		if (!pieces_auth(s, conf, &conf->auths[i]))
			return false;
	return true;
}

bool install_objects(struct objects *r, const struct conf *conf)
{
	struct script pieces = {0};
	bool ok = install_script(&pieces, conf, NULL);

	for (size_t i = 0; ok && i < pieces.n; i++)
		objects_read(r, pieces.items[i].sql);
	script_free(&pieces);
	return ok;
}
