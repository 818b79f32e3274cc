/* SPDX-License-Identifier: PostgreSQL
 * See render_auth.h: that one role owns the tables of credentials. */
#include "config.h"
#include "sql/render_auth.h"

#include "sql/ident.h"
#include "sql/template.h"
#include "sql/text.h"

/* Whose tables these are is asked when the text is run. */
bool auth_owners_add(struct buf *out, const struct render_auth *a, struct buf *error)
{
	autobuf tables = {0}, trusted = {0};
	bool ok = true;

	buf_init(&tables, RENDER_MAX);
	buf_init(&trusted, RENDER_MAX);
	for (size_t i = 0; ok && i < a->n_tables; i++) {
		struct auth_table t;

		ok = auth_table_read(&t, "table", a->tables[i], error);
		buf_str(&tables, i ? ", " : "");
		ident_add_literal(&tables, ok ? buf_cstr(&t.sql) : "");
		auth_table_free(&t);
	}
	for (size_t i = 0; i < a->n_trusted_owners; i++) {
		buf_str(&trusted, i ? ", " : "");
		ident_add_literal(&trusted, a->trusted_owners[i]);
	}
	template_fill_within(out, sql_auth_owners,
			     (const struct slot[]){{"tables_of_all", buf_cstr(&tables)},
						   {"trusted", buf_cstr(&trusted)},
						   {NULL, NULL}});
	return ok;
}
