/* SPDX-License-Identifier: PostgreSQL
 * See render.h: the question of one [route] whether somebody may hear a channel. */
#include "config.h"
#include "sql/render.h"

#include <stdlib.h>

#include "base/mem.h"
#include "sql/ident.h"
#include "sql/render_auth.h"
#include "sql/template.h"
#include "sql/text.h"

bool render_authorize_asked(struct buf *out, const char *function, struct buf *error)
{
	struct auth_table f;
	bool ok = auth_table_read(&f, "authorize", function, error);

	if (ok)
		buf_printf(out, "%s(text, text, text)", buf_cstr(&f.sql));
	auth_table_free(&f);
	return ok;
}

static bool add_tables(struct buf *out, const struct render_authorize *a, struct buf *error)
{
	bool ok = true;

	for (size_t i = 0; ok && i < a->n_tables; i++) {
		struct auth_table t;

		ok = auth_table_read(&t, "table", a->tables[i], error);
		buf_str(out, i ? ", " : "");
		ident_add_literal(out, ok ? buf_cstr(&t.sql) : "");
		auth_table_free(&t);
	}
	return ok;
}

bool render_authorize(struct buf *out, const struct render_authorize *a, struct buf *error)
{
	enum { NAME, ASKED, SCHEMA, CALLED, FUNCTION, LITERAL, LOGIN, TABLES, TRUSTED, STAMP, N };
	struct buf b[N], begin;
	autofree char *name = xasprintf("authorize_%s", a->name);
	struct auth_table f = {0};
	bool ok;

	for (size_t i = 0; i < N; i++)
		buf_init(&b[i], RENDER_MAX);
	ok = auth_table_read(&f, "authorize", a->function, error) &&
	     add_tables(&b[TABLES], a, error);
	if (ok) {
		autobuf asked = {.max = RENDER_MAX};

		render_comment(&b[NAME], a->name);
		buf_printf(&asked, "%s(text, text, text)", buf_cstr(&f.sql));
		ident_add_literal(&b[ASKED], buf_cstr(&asked));
		ident_add(&b[SCHEMA], f.schema);
		buf_str(&b[CALLED], buf_cstr(&f.sql));
		ident_add(&b[FUNCTION], name);
		ident_add_literal(&b[LITERAL], name);
		ident_add(&b[LOGIN], a->login);
		for (size_t i = 0; i < a->n_trusted_owners; i++) {
			buf_str(&b[TRUSTED], i ? ", " : "");
			ident_add_literal(&b[TRUSTED], a->trusted_owners[i]);
		}
		render_stamp(&b[STAMP], buf_cstr(&b[LITERAL]));
		render_begin(&begin);
		template_fill(out, sql_authorize,
			      (const struct slot[]){{"version", PACKAGE_VERSION},
						    {"begin", buf_cstr(&begin)},
						    {"name", a->name},
						    {"name_comment", buf_cstr(&b[NAME])},
						    {"asked_literal", buf_cstr(&b[ASKED])},
						    {"schema", buf_cstr(&b[SCHEMA])},
						    {"called", buf_cstr(&b[CALLED])},
						    {"function", buf_cstr(&b[FUNCTION])},
						    {"login", buf_cstr(&b[LOGIN])},
						    {"tables", buf_cstr(&b[TABLES])},
						    {"trusted", buf_cstr(&b[TRUSTED])},
						    {"stamp", buf_cstr(&b[STAMP])},
						    {NULL, NULL}});
		buf_free(&begin);
	}
	for (size_t i = 0; i < N; i++)
		buf_free(&b[i]);
	auth_table_free(&f);
	return ok;
}
