/* SPDX-License-Identifier: PostgreSQL
 * See render_parts.h: a watch with capture = notify. */
#include "config.h"
#include "sql/render_parts.h"

#include <string.h>

#include "sql/render.h"
#include "sql/render_doc.h"
#include "sql/template.h"
#include "sql/text.h"

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

/* "name := …;" */
static void add_assignment(struct buf *out, const char *name, struct buf *value)
{
	buf_printf(out, "%s := ", name);
	render_indented(out, buf_cstr(value), strlen(name) + 4);
	buf_str(out, ";\n");
	buf_clear(value);
}

/* The owners and names of a row, and those of what it was before. */
static void add_asked(struct buf *out, const struct watch *w, const char *rescope_all,
		      const struct row *one, const struct row *was, const struct row *now)
{
	autobuf looks = {0}, value = {0};

	buf_init(&looks, RENDER_MAX);
	buf_init(&value, RENDER_MAX);
	render_asked_owners(&value, w, was);
	add_assignment(&looks, "before", &value);
	render_asked_owners(&value, w, now);
	add_assignment(&looks, "after", &value);
	if (watch_has_names(w)) {
		render_asked_names(&value, w, one);
		add_assignment(&looks, "names", &value);
		buf_str(&looks, "IF changed AND before <> after THEN\n  ");
		render_asked_names(&value, w, was);
		add_assignment(&looks, "former_names", &value);
		buf_str(&looks, "END IF;\n");
	}
	looks.data[--looks.len] = '\0';
	if (watch_has_names(w) || watch_has_hops(w))
		template_fill_within(out, sql_look_inline,
				     (const struct slot[]){{"looks", buf_cstr(&looks)},
							   {"topic", w->topic},
							   {"rescope_all", rescope_all},
							   {NULL, NULL}});
	else
		buf_str(out, buf_cstr(&looks));
}

void inline_parts(struct buf *parts, const struct watch *w, const struct columns *c)
{
	const struct row one = {.name = "it.one", .names = "it.names"},
			 was = {.name = "it.was", .names = "it.former_names"},
			 now = {.name = "it.now"};

	rescope_parts(parts, w);
	render_key(&parts[PART_PK], w, &one);
	add_same_key(&parts[PART_SAME_KEY], w);
	add_differs(&parts[PART_DIFFERS], c);
	add_asked(&parts[PART_ASKED], w, buf_cstr(&parts[PART_RESCOPE_ALL]), &one, &was, &now);
	render_cross_object(&parts[PART_CROSS], c);
	render_doc(&parts[PART_DOC], w, &one);
	render_leave(&parts[PART_LEAVE], w, &was);
}
