/* SPDX-License-Identifier: PostgreSQL
 * See rights.h. */
#include "config.h"
#include "dba/rights.h"

#include <string.h>

#include "dba/statement.h"
#include "sql/ident.h"
#include "sql/render.h"
#include "sql/render_teller.h"
#include "sql/template.h"
#include "sql/text.h"

/* "('role', 'schema or table', 'column or NULL')," for each on an object of the application. */
static void add_rights(struct buf *out, const struct objects *r)
{
	buf_init(out, STATEMENT_MAX);
	for (size_t i = 0; i < r->n_rights; i++) {
		const struct object_right *w = &r->rights[i];

		if (strcmp(w->object, "pgherald") == 0 ||
		    (strcmp(w->kind, "column") != 0 && strcmp(w->kind, "schema") != 0))
			continue;
		buf_str(out, out->len ? ",\n(" : "(");
		ident_add_literal(out, w->role);
		buf_str(out, ", ");
		ident_add_literal(out, w->object);
		buf_str(out, ", ");
		if (w->column)
			ident_add_literal(out, w->column);
		else
			buf_str(out, "NULL");
		buf_char(out, ')');
	}
	if (out->len)
		buf_char(out, ',');
}

static void add_functions(struct buf *out, const struct objects *r)
{
	buf_init(out, STATEMENT_MAX);
	for (size_t i = 0; i < r->n_functions; i++) {
		if (i)
			buf_str(out, ",\n");
		ident_add_literal(out, r->functions[i].signature);
	}
}

static void fill(struct buf *out, const char *text, const struct objects *r)
{
	autobuf rights = {0}, functions = {0}, begin = {0}, gone = {0};

	buf_init(&gone, RENDER_MAX);
	teller_gone(&gone);
	add_rights(&rights, r);
	add_functions(&functions, r);
	render_begin(&begin);
	template_fill(out, text,
		      (const struct slot[]){{"version", PACKAGE_VERSION},
					    {"begin", buf_cstr(&begin)},
					    {"rights", buf_cstr(&rights)},
					    {"functions", buf_cstr(&functions)},
					    {"gone", buf_cstr(&gone)},
					    {NULL, NULL}});
}

void rights_grant_missing(struct buf *out, const struct objects *r)
{
	fill(out, sql_grant_missing, r);
}

void rights_grant_dump(struct buf *out)
{
	autobuf begin = {0};

	render_begin(&begin);
	template_fill(out, sql_dump,
		      (const struct slot[]){{"version", PACKAGE_VERSION},
					    {"begin", buf_cstr(&begin)},
					    {NULL, NULL}});
}

void rights_revoke_unneeded(struct buf *out, const struct objects *r)
{
	fill(out, sql_revoke_unneeded, r);
}
