/* SPDX-License-Identifier: PostgreSQL
 * See render_parts.h: a watch with capture = notify. */
#include "config.h"
#include "sql/render_parts.h"

#include "sql/render.h"
#include "sql/render_doc.h"

static void add_same_key(struct buf *out, const struct watch *w)
{
	for (size_t i = 0; i < w->n_key; i++) {
		buf_str(out, i ? " AND " : "");
		render_value(out, &(struct row){.name = "n.r"}, "->", w->key[i]);
		buf_str(out, " = ");
		render_value(out, &(struct row){.name = "o.r"}, "->", w->key[i]);
	}
}

/* That a watched column differs, as text: 1.0 and 1.00 are equal numbers to jsonb. */
static void add_differs(struct buf *out, const struct columns *c)
{
	for (size_t i = 0; i < c->n; i++) {
		buf_str(out, i ? "\nOR " : "");
		render_value(out, &(struct row){.name = "now"}, "->>", c->names[i]);
		buf_str(out, " IS DISTINCT FROM ");
		render_value(out, &(struct row){.name = "was"}, "->>", c->names[i]);
	}
}

void inline_parts(struct buf *parts, const struct watch *w, const struct columns *c)
{
	const struct row one = {.name = "it.one", .names = "it.names"},
			 was = {.name = "it.was", .names = "it.former_names"},
			 now = {.name = "it.now"};

	render_key(&parts[PART_PK], w, &one);
	add_same_key(&parts[PART_SAME_KEY], w);
	add_differs(&parts[PART_DIFFERS], c);
	render_asked_owners(&parts[PART_OWN_OLD], w, &was);
	render_asked_owners(&parts[PART_OWN_NEW], w, &now);
	render_cross_object(&parts[PART_CROSS], c);
	if (watch_has_names(w)) {
		buf_str(&parts[PART_SET_NAMES], "names := ");
		render_asked_names(&parts[PART_SET_NAMES], w, &one);
		buf_char(&parts[PART_SET_NAMES], ';');
		buf_str(&parts[PART_SET_FORMER_NAMES], "former_names := ");
		render_asked_names(&parts[PART_SET_FORMER_NAMES], w, &was);
		buf_char(&parts[PART_SET_FORMER_NAMES], ';');
	}
	render_doc(&parts[PART_DOC], w, &one);
	render_leave(&parts[PART_LEAVE], w, &was);
	rescope_parts(parts, w);
}
