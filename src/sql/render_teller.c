/* SPDX-License-Identifier: PostgreSQL
 * See render_teller.h. */
#include "config.h"
#include "sql/render_teller.h"

#include <stdlib.h>

#include "sql/render_row.h"
#include "sql/template.h"
#include "sql/text.h"

/* Of the watched table itself what is told, for a row that was written to more than once in a
 * transaction. */
static struct render_grants *reads_of(const struct watch *w)
{
	struct render_grants *g = render_grants_new("pgherald_teller");
	struct columns c = {0};

	columns_of(w, &c);
	for (size_t i = 0; !w->notify && i < c.n; i++)
		render_grants_add(g, w->schema, w->table, c.names[i]);
	free(c.names);
	for (size_t i = 0; i < w->n_fields; i++) {
		const struct watch_field *f = &w->fields[i];

		if (!f->join_table)
			continue;
		render_grants_add(g, f->join_schema, f->join_table, f->join_key);
		render_grants_add(g, f->join_schema, f->join_table, f->join_label);
	}
	for (size_t i = 0; i < w->n_owners; i++)
		for (size_t k = 0; k < w->owners[i].n_hops; k++) {
			const struct watch_hop *h = &w->owners[i].hops[k];

			render_grants_add(g, h->schema, h->table, h->key);
			render_grants_add(g, h->schema, h->table, h->value);
		}
	return g;
}

void teller_grants(struct buf *out, const struct watch *w)
{
	struct render_grants *g = reads_of(w);

	render_grants_finish(g, out);
	render_grants_free(g);
}

static void add_tables_of_all(struct buf *out, const struct render_all *all)
{
	struct render_grants *every = render_grants_new("");

	for (size_t i = 0; all && i < all->n; i++) {
		struct render_grants *g = reads_of(all->watches[i]);

		render_grants_join(every, g);
		render_grants_free(g);
	}
	render_grants_tables(every, out);
	render_grants_free(every);
}

void teller_home(struct buf *out, const struct teller *t)
{
	template_fill_within(out, sql_teller_home,
			     (const struct slot[]){{"readers", t->readers}, {NULL, NULL}});
}

void teller_away(struct buf *out, const struct teller *t)
{
	struct render_grants *g = reads_of(t->watch);
	autobuf tables = {0}, all = {0}, columns = {0}, late = {0}, gone = {0};
	const struct slot inner[] = {
		{"topic", t->watch->topic},
		{"table_literal", t->table_literal},
		{"lookups", t->lookups},
		{NULL, NULL},
	};

	buf_init(&tables, RENDER_MAX);
	buf_init(&all, RENDER_MAX);
	buf_init(&columns, RENDER_MAX);
	buf_init(&late, RENDER_MAX);
	buf_init(&gone, RENDER_MAX);
	render_grants_tables(g, &tables);
	add_tables_of_all(&all, t->all);
	render_grants_columns(g, &columns);
	render_grants_free(g);
	template_fill_within(&late, t->watch->notify ? sql_late_inline : sql_late, inner);
	teller_gone(&gone);
	template_fill_within(out, sql_teller,
			     (const struct slot[]){{"topic", t->watch->topic},
						   {"table_literal", t->table_literal},
						   {"readers", t->readers},
						   {"tables_of_this", buf_cstr(&tables)},
						   {"tables_of_all", buf_cstr(&all)},
						   {"columns_of_this", buf_cstr(&columns)},
						   {"late", buf_cstr(&late)},
						   {"gone", buf_cstr(&gone)},
						   {NULL, NULL}});
}

void teller_gone(struct buf *out)
{
	template_fill_within(out, sql_teller_gone, (const struct slot[]){{NULL, NULL}});
}
