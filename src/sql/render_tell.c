/* SPDX-License-Identifier: PostgreSQL
 * See render_parts.h: what clients are told. */
#include "config.h"
#include "sql/render_parts.h"

#include <stdlib.h>
#include <string.h>

#include "sql/render.h"
#include "sql/render_doc.h"
#include "sql/render_way.h"

static const struct row this = {.name = "this", .record = true};

void render_all_owners(struct buf *out, const struct watch *w, const struct row *row)
{
	autobuf own = {0};

	buf_init(&own, RENDER_MAX);
	render_own(&own, w, row);
	render_owners(out, w, row, buf_cstr(&own));
}

/* The owners as they were recorded, and where a NULL is among them those of now. */
static void add_looked_up(struct buf *out, const struct watch *w, const struct row *row,
			  const char *recorded)
{
	autofree char *named = xasprintf("array_remove(%s, NULL)", recorded);
	autobuf owners = {0};

	buf_init(&owners, RENDER_MAX);
	buf_printf(out,
		   "CASE WHEN %s IS NULL OR array_position(%s, NULL) IS NULL THEN %s\n     ELSE ",
		   row->name, recorded, named);
	render_owners(&owners, w, row, named);
	render_indented(out, buf_cstr(&owners), strlen("     ELSE "));
	buf_str(out, " END");
}

static void add_told_owners(struct buf *parts, const struct watch *w, const struct row *one,
			    const struct row *was)
{
	struct buf *out = &parts[PART_TOLD_OWNERS];
	autobuf look = {0};

	if (!watch_has_hops(w)) {
		buf_str(&parts[PART_TOLD_OLD], "CASE WHEN j.op = 'u' AND j.past IS NULL THEN "
					       "j.own_new ELSE j.own_old END");
		buf_str(&parts[PART_TOLD_NEW], "j.own_new");
		return;
	}
	buf_str(&parts[PART_TOLD_OLD],
		"CASE WHEN j.op = 'u' AND j.past IS NULL THEN own.after ELSE own.before END");
	/* settle_TOPIC() must still see whether a w row was for whoever owns the row now */
	buf_str(&parts[PART_TOLD_NEW],
		w->follow ? "CASE WHEN whole AND j.op = 'w' AND it.one IS NOT NULL AND "
			    "array_position(j.own_new, NULL) IS NOT NULL\n"
			    "     THEN own.after || NULL::text ELSE own.after END"
			  : "own.after");
	buf_init(&look, RENDER_MAX);
	/* before it was deleted the row was the one that is recorded */
	add_looked_up(&look, w, one, "j.own_new");
	buf_str(&look, " AS after,\nCASE WHEN j.op = 'd' THEN\n  ");
	add_looked_up(&look, w, one, "j.own_old");
	buf_str(&look, " ELSE\n  ");
	add_looked_up(&look, w, was, "j.own_old");
	buf_str(&look, " END AS before\nOFFSET 0) AS own");
	buf_str(out, "CROSS JOIN LATERAL (SELECT ");
	render_indented(out, buf_cstr(&look), strlen("CROSS JOIN LATERAL (SELECT "));
}

/* That "this" is the row that the journal's first image is one of, and spelled as it was. */
static void add_this_is(struct buf *out, const struct watch *w, const struct columns *c)
{
	const struct row image = {.name = "o.image", .places = c};

	for (size_t i = 0; i < w->n_key; i++) {
		render_match(out, &image, w->key[i], "this", w->key[i]);
		buf_str(out, "\nAND ");
	}
	render_key(out, w, &this);
	buf_str(out, " = o.pk");
}

void render_node(struct buf *out, const struct watch *w, const struct row *row)
{
	struct columns via = {0};

	owner_columns_of(w, &via);
	buf_str(out, "jsonb_build_array(");
	for (size_t i = 0; i < via.n; i++) {
		buf_str(out, i ? ", " : "");
		render_column(out, row, via.names[i]);
	}
	buf_str(out, ")::text");
	free(via.names);
}

/* The steps that a row takes within a transaction, from owners to owners. Where the way to these is
 * followed they may change meanwhile, so it is from columns to columns; and only a single step is
 * told as it was recorded. */
static void settle_parts(struct buf *parts, const struct watch *w, const struct columns *c,
			 const struct row *was)
{
	const struct row now = {.name = "now.one", .places = c},
			 after = {.name = "told.data", .places = c},
			 before = {.name = "coalesce(told.past, told.data)", .places = c};

	if (!w->follow) {
		buf_str(&parts[PART_TOLD_BEFORE], "told.own_old::text");
		buf_str(&parts[PART_TOLD_AFTER], "told.own_new::text");
		buf_str(&parts[PART_NOW_NODE], "now.own::text");
		buf_str(&parts[PART_LOOKED_UP], "false");
		buf_str(&parts[PART_ALONE], "true");
		buf_str(&parts[PART_OFTEN], "count(*) > 1");
		buf_str(&parts[PART_ONCE], "'{}'::text[]");
		buf_str(&parts[PART_AT_ONCE], "false");
		buf_str(&parts[PART_HEARD], "SELECT ''::text WHERE false");
		buf_str(&parts[PART_STEPPED], "told");
		buf_str(&parts[PART_NEXT], "NULL::text");
		buf_str(&parts[PART_NEXT_OWN], "NULL::text");
		buf_str(&parts[PART_OPENED], "NULL::bigint");
		buf_str(&parts[PART_ROUND], "e.node");
		buf_str(&parts[PART_GONE], "false");
		return;
	}
	render_node(&parts[PART_TOLD_BEFORE], w, &before);
	render_node(&parts[PART_TOLD_AFTER], w, &after);
	render_node(&parts[PART_NOW_NODE], w, &now);
	buf_str(&parts[PART_LOOKED_UP], "told.op = 'u' AND told.past IS NULL");
	buf_str(&parts[PART_ALONE], "cardinality(o.befores) = 1");
	buf_str(&parts[PART_OFTEN], "true");
	render_all_owners(&parts[PART_ONCE], w, was);
	buf_str(&parts[PART_HEARD], "SELECT unnest(h.users) FROM heard AS h WHERE h.txid = o.txid");
	buf_str(&parts[PART_AT_ONCE], "EXISTS (SELECT FROM beside AS b WHERE b.txid = s.txid)");
	buf_str(&parts[PART_STEPPED], "stepped AS told");
	buf_str(&parts[PART_NEXT],
		"(array_agg(told.next ORDER BY told.id DESC) FILTER (WHERE told.op <> 'w'))[1]");
	buf_str(&parts[PART_NEXT_OWN], "(array_agg(told.next_own::text ORDER BY told.id DESC) "
				       "FILTER (WHERE told.op <> 'w'))[1]");
	buf_str(&parts[PART_OPENED], "min(told.id) FILTER (WHERE told.op = 'w' AND "
				     "array_position(told.own_new, NULL) IS NOT NULL)");
	buf_str(&parts[PART_ROUND], "CASE WHEN o.next = ANY (o.befores) THEN o.next\n"
				    "     WHEN o.befores IS NULL OR e.node <> '-' AND e.node = ANY "
				    "(o.befores) THEN e.node\n"
				    "     ELSE o.befores[1] END");
	buf_str(&parts[PART_GONE], "o.befores IS NOT NULL AND e.first IS NULL AND e.node = '-'");
}

/* Rows of a watch with channels have their op in capitals where they leave these functions, or come
 * in: they are for keys. One of another kind was written for another list of columns. */
static void op_parts(struct buf *parts, const struct watch *w)
{
	static const char op[] =
		"CASE WHEN it.one IS NULL AND j.op IN ('i', 'u', 'd', 'w', 'I', 'U', 'D')\n"
		"       OR j.op = 'v' AND b.data->>0 <> '%s' THEN 'r'\n"
		"     ELSE j.op END";
	static const char rows[] =
		"unnest(places, written)\n"
		"%sAS j (place, txid, id, at, topic, op, pk, own_old, own_new, data, past)";
	autobuf mark = {0}, inner = {0};

	buf_init(&mark, RENDER_MAX);
	ways_mark(&mark, w);
	if (!w->n_channels) {
		buf_printf(&parts[PART_TOLD_OP], op, buf_cstr(&mark));
		buf_printf(&parts[PART_WRITTEN], rows, "  ");
		buf_str(&parts[PART_SETTLED_OP], "so.op");
		return;
	}
	buf_init(&inner, RENDER_MAX);
	buf_printf(&inner, op, buf_cstr(&mark));
	buf_str(&parts[PART_TOLD_OP], "translate((");
	render_indented(&parts[PART_TOLD_OP], buf_cstr(&inner), strlen("translate(("));
	buf_str(&parts[PART_TOLD_OP], ")::text,\n"
				      "          CASE WHEN whole THEN '' ELSE 'iud' END, "
				      "CASE WHEN whole THEN '' ELSE 'IUD' END)::\"char\"");
	buf_str(&parts[PART_WRITTEN],
		"(SELECT j.place, j.txid, j.id, j.at, j.topic,\n"
		"        translate(j.op::text, 'IUDiud', 'iudIUD')::\"char\" AS op, j.pk,\n"
		"        j.own_old, j.own_new, j.data, j.past\n"
		" FROM ");
	buf_printf(&parts[PART_WRITTEN], rows, "   ");
	buf_str(&parts[PART_WRITTEN], ") AS j");
	buf_str(&parts[PART_SETTLED_OP], "translate(so.op::text, 'iud', 'IUD')::\"char\"");
}

void tell_parts(struct buf *parts, const struct watch *w, const struct columns *c)
{
	const struct row one = {.name = "it.one", .places = c, .named = true},
			 was = {.name = "it.was", .places = c, .named = true};

	columns_mark(w, c, &parts[PART_MARK]);
	op_parts(parts, w);
	render_doc(&parts[PART_DOC], w, &one);
	render_leave(&parts[PART_LEAVE], w, &was);
	add_told_owners(parts, w, &one, &was);
	render_all_owners(&parts[PART_THIS_OWNERS], w, &this);
	add_this_is(&parts[PART_THIS_IS], w, c);
	settle_parts(parts, w, c, &was);
	render_beside(&parts[PART_BESIDE], w, c);
	render_lost_and_won(&parts[PART_LOST_AND_WON], w, c);
	render_of_way(&parts[PART_OF_WAY], w, c);
	ways_mark(&parts[PART_WAY_MARK], w);
}
