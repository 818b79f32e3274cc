/* SPDX-License-Identifier: PostgreSQL
 * See render_way.h: transactions that were open side by side. Each has looked at the ways without
 * what the other had not committed, so that neither has found a way of which one step is this one's
 * and another that one's. Whoever tells walks along whatever may have been there at some time
 * since. */
#include "config.h"
#include "sql/render_way.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "sql/ident.h"
#include "sql/render.h"
#include "sql/render_doc.h"
#include "sql/render_parts.h"
#include "sql/template.h"
#include "sql/text.h"

static const char *const hop_name = "h";

/* "ARRAY[image->>3, image->>5]": what of a row leads to other tables. */
static void add_leads(struct buf *out, const struct columns *hops, const struct columns *all,
		      const char *image)
{
	const struct row row = {.name = image, .places = all};

	buf_str(out, "ARRAY[");
	for (size_t i = 0; i < hops->n; i++) {
		buf_str(out, i ? ", " : "");
		render_text(out, &row, hops->names[i]);
	}
	buf_char(out, ']');
}

static size_t place_of(const struct columns *c, const char *name)
{
	size_t i = 0;

	while (strcmp(c->names[i], name) != 0)
		i++;
	return i + 1;
}

/* The steps that rows of the watched table have made: a way begins with number n, they are -n. */
static void add_first_steps(struct buf *out, const struct watch *w, const struct columns *hops)
{
	size_t n = 1;

	for (size_t i = 0; i < w->n_owners; i++) {
		const struct watch_owner *o = &w->owners[i];
		size_t place;

		if (!o->n_hops)
			continue;
		place = place_of(hops, o->column);
		buf_printf(out,
			   "\nUNION ALL SELECT -%zu, NULL, c.went[%zu], false"
			   "\nUNION ALL SELECT -%zu, NULL, c.came[%zu], true",
			   n, place, n, place);
		n += o->n_hops;
	}
}

/* One step on: what the table has now, and what was changed. */
static void add_step(struct buf *out, const struct watch_hop *h, size_t n, size_t before,
		     bool whole)
{
	autobuf match = {0};

	buf_init(&match, RENDER_MAX);
	render_match(&match, &(struct row){.name = "b.value", .text = true}, "", hop_name, h->key);
	buf_printf(out, ",\nway%zu AS (\n", n);
	if (!whole)
		buf_printf(out,
			   "  SELECT s.value, s.mine, s.other FROM step AS s WHERE s.n = %zu\n"
			   "  UNION ALL\n",
			   n);
	buf_printf(out,
		   "  SELECT a.value, b.mine OR a.mine AS mine, b.other OR a.other AS other\n"
		   "  FROM (SELECT DISTINCT * FROM way%zu) AS b\n"
		   "  CROSS JOIN LATERAL (\n"
		   "    SELECT ",
		   before);
	render_text(out, &(struct row){.name = hop_name, .record = true}, h->value);
	buf_str(out, " AS value, false AS mine, false AS other\n    FROM ");
	ident_add_table(out, h->schema, h->table);
	buf_printf(out, " AS %s\n    WHERE ", hop_name);
	render_indented(out, buf_cstr(&match), strlen("    WHERE "));
	buf_printf(out,
		   "\n    UNION ALL\n"
		   "    SELECT s.value, s.mine, s.other FROM step AS s WHERE s.n = %zu AND s.key = "
		   "b.value) AS a\n"
		   "  WHERE a.value IS NOT NULL LIMIT 10001)",
		   n);
}

/* Numbers of steps from rows are 1000 and more here: way1001 leads to way 1. */
#define FIRST 1000

void render_walks(struct buf *walks, struct buf *ends, const struct watch *w, bool whole)
{
	size_t n = 1;

	for (size_t i = 0; i < w->n_owners; i++) {
		const struct watch_owner *o = &w->owners[i];

		if (!o->n_hops)
			continue;
		buf_printf(walks,
			   ",\nway%zu AS (SELECT s.value, s.mine, s.other FROM step AS s WHERE s.n "
			   "= -%zu)",
			   FIRST + n, n);
		for (size_t k = 0; k < o->n_hops; k++, n++)
			add_step(walks, &o->hops[k], n, k ? n - 1 : FIRST + n, whole);
		buf_printf(ends, "%sSELECT e.value FROM way%zu AS e WHERE e.mine AND e.other",
			   ends->len ? "\nUNION ALL " : "", n - 1);
	}
}

void render_beside(struct buf *out, const struct watch *w, const struct columns *c)
{
	const struct row image = {.name = "coalesce(r.past, r.data)", .places = c},
			 told = {.name = "coalesce(told.past, told.data)", .places = c};
	autobuf after = {0}, before = {0}, first = {0}, walks = {0}, ends = {0}, mark = {0},
		way_mark = {0}, node = {0}, told_node = {0};
	struct columns hops = {0};

	if (!w->follow)
		return;
	buf_init(&after, RENDER_MAX);
	buf_init(&before, RENDER_MAX);
	buf_init(&first, RENDER_MAX);
	buf_init(&walks, RENDER_MAX);
	buf_init(&ends, RENDER_MAX);
	buf_init(&mark, RENDER_MAX);
	buf_init(&way_mark, RENDER_MAX);
	buf_init(&node, RENDER_MAX);
	buf_init(&told_node, RENDER_MAX);
	hop_columns_of(w, &hops);
	add_leads(&after, &hops, c, "r.data");
	add_leads(&before, &hops, c, "r.past");
	add_first_steps(&first, w, &hops);
	render_walks(&walks, &ends, w, false);
	columns_mark(w, c, &mark);
	ways_mark(&way_mark, w);
	render_node(&node, w, &image);
	render_node(&told_node, w, &told);
	template_fill_within(out, sql_beside,
			     (const struct slot[]){{"leads_now", buf_cstr(&after)},
						   {"led_before", buf_cstr(&before)},
						   {"first_steps", buf_cstr(&first)},
						   {"walks", buf_cstr(&walks)},
						   {"ends", buf_cstr(&ends)},
						   {"mark", buf_cstr(&mark)},
						   {"way_mark", buf_cstr(&way_mark)},
						   {"node", buf_cstr(&node)},
						   {"told_node", buf_cstr(&told_node)},
						   {NULL, NULL}});
	free(hops.names);
}
