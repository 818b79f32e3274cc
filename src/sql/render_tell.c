/* SPDX-License-Identifier: PostgreSQL
 * See render_parts.h: what clients are told. */
#include "config.h"
#include "sql/render_parts.h"

#include <string.h>

#include "sql/render.h"
#include "sql/render_doc.h"

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
	buf_str(&parts[PART_TOLD_NEW], "own.after");
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

/* That "this" is the row that the journal's first image is one of. */
static void add_this_is(struct buf *out, const struct watch *w, const struct columns *c)
{
	const struct row image = {.name = "o.images[1]", .places = c};

	for (size_t i = 0; i < w->n_key; i++) {
		buf_str(out, i ? " AND " : "");
		render_match(out, &image, w->key[i], "this", w->key[i]);
	}
}

void tell_parts(struct buf *parts, const struct watch *w, const struct columns *c)
{
	const struct row one = {.name = "it.one", .places = c, .named = true},
			 was = {.name = "it.was", .places = c, .named = true};

	columns_mark(w, c, &parts[PART_MARK]);
	render_doc(&parts[PART_DOC], w, &one);
	render_leave(&parts[PART_LEAVE], w, &was);
	add_told_owners(parts, w, &one, &was);
	buf_str(&parts[PART_TOLD_BEFORE], "told.own_old::text");
	buf_str(&parts[PART_TOLD_AFTER], "told.own_new::text");
	render_all_owners(&parts[PART_THIS_OWNERS], w, &this);
	add_this_is(&parts[PART_THIS_IS], w, c);
	buf_str(&parts[PART_NOW_NODE], "now.own::text");
	buf_str(&parts[PART_NET_OLD], "net.start::text[]");
}
