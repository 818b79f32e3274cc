/* SPDX-License-Identifier: PostgreSQL
 * See render_parts.h: what the trigger of a watch with capture = journal records. */
#include "config.h"
#include "sql/render_parts.h"

#include <stdlib.h>
#include <string.h>

#include "sql/ident.h"
#include "sql/render.h"
#include "sql/render_doc.h"
#include "sql/render_way.h"
#include "sql/template.h"
#include "sql/text.h"

/* What on_journal.sql calls what it has found in other tables, by the place of the row. */
#define NAMES "pgherald_names"
#define OWN   "pgherald_own"
#define WAS   "pgherald_was"
#define PLACE "pgherald_place"

static const struct row this = {.name = "this", .record = true}, bare = {.record = true};

/* "ARRAY[a::text, b::text]" of the columns that say whose a row is. */
static void add_via(struct buf *out, const struct watch *w)
{
	struct columns c = {0};
	size_t line = 0;

	owner_columns_of(w, &c);
	buf_str(out, "ARRAY[");
	for (size_t i = 0; i < c.n; i++) {
		render_comma(out, i, &line);
		render_text(out, &bare, c.names[i]);
	}
	buf_str(out, "] AS via");
	free(c.names);
}

/* "pgherald.names_TOPIC(ARRAY[a, b])" */
static void add_call(struct buf *out, const char *what, const struct watch *w,
		     const struct columns *keys, const struct row *row)
{
	size_t line = out->len;

	buf_printf(out, "pgherald.%s_%s(ARRAY[", what, w->topic);
	for (size_t i = 0; i < keys->n; i++) {
		render_comma(out, i, &line);
		render_text(out, row, keys->names[i]);
	}
	buf_str(out, "])");
}

void render_asked_names(struct buf *out, const struct watch *w, const struct row *row)
{
	struct columns c = {0};

	name_columns_of(w, &c);
	add_call(out, "names", w, &c, row);
	free(c.names);
}

void render_asked_owners(struct buf *out, const struct watch *w, const struct row *row)
{
	struct row asked = *row;
	struct columns c = {0};
	autobuf own = {0}, others = {0};

	buf_init(&own, RENDER_MAX);
	render_own(&own, w, row);
	buf_init(&others, RENDER_MAX);
	hop_columns_of(w, &c);
	if (c.n)
		add_call(&others, "owners", w, &c, row);
	free(c.names);
	asked.owners = buf_cstr(&others);
	render_owners(out, w, &asked, buf_cstr(&own));
}

static void add_each(struct buf *out, const struct watch *w)
{
	buf_str(out, "SELECT pgherald_v.pk, pgherald_v.own, pgherald_v.data");
	if (watch_has_hops(w))
		buf_str(out, ", pgherald_v.via");
}

/* The owners that the row itself names, and those that were found for it in the array `found`;
 * where nothing was found there is a NULL among them: whoever reads looks. */
static void add_own(struct buf *out, const struct watch *w, const struct row *row,
		    const char *found, const char *place)
{
	autobuf own = {0};

	if (!watch_has_hops(w)) {
		render_own(out, w, row);
		return;
	}
	buf_init(&own, RENDER_MAX);
	buf_printf(&own, "coalesce(%s[%s]::text[], array_append(", found, place);
	buf_str(out, buf_cstr(&own));
	buf_clear(&own);
	render_own(&own, w, row);
	render_indented(out, buf_cstr(&own), strlen("coalesce("));
	buf_str(out, ", NULL))");
}

/* A column that is gone reads as null: what is not found in the row is found in pgherald_gone. */
static void add_gone(struct buf *out, const struct columns *c)
{
	size_t line = out->len;

	buf_str(out, "CROSS JOIN (VALUES (");
	for (size_t i = 0; i < c->n; i++) {
		render_comma(out, i, &line);
		buf_str(out, "NULL::text");
	}
	buf_str(out, ")) AS pgherald_gone (");
	line = out->len;
	for (size_t i = 0; i < c->n; i++) {
		render_comma(out, i, &line);
		ident_add(out, c->names[i]);
	}
	buf_str(out, ")\nCROSS JOIN LATERAL (SELECT ");
}

static void add_each_row(struct buf *out, struct buf *each)
{
	buf_str(each, "\nFROM (SELECT pgherald_row.*) AS pgherald_x) AS pgherald_v");
	render_indented(out, buf_cstr(each), strlen("CROSS JOIN LATERAL (SELECT "));
}

static void add_cross(struct buf *out, const struct watch *w, const struct columns *c,
		      const char *found, const char *names)
{
	autobuf each = {0};

	add_gone(out, c);
	buf_init(&each, RENDER_MAX);
	render_key(&each, w, &bare);
	buf_str(&each, " AS pk,\n");
	add_own(&each, w, &bare, found, PLACE);
	buf_str(&each, " AS own,\n");
	if (watch_has_hops(w)) {
		add_via(&each, w);
		buf_str(&each, ",\n");
	}
	render_data(&each, w, c, &bare, names);
	buf_str(&each, " AS data");
	add_each_row(out, &each);
}

/* Rows as objects, so that a column may be altered or dropped without asking us. */
void render_cross_object(struct buf *out, const struct columns *c)
{
	autobuf each = {0};

	add_gone(out, c);
	buf_init(&each, RENDER_MAX);
	render_object(&each, c, &bare);
	buf_str(&each, " AS r");
	add_each_row(out, &each);
}

/* look.sql: the owners of these rows, and their names, into the arrays; NULL for what is not
 * wanted. */
static void add_look(struct buf *out, const struct watch *w, const char *rows, const char *owners,
		     const char *names)
{
	autobuf looks = {0}, what = {0};

	buf_init(&looks, RENDER_MAX);
	buf_init(&what, RENDER_MAX);
	if (owners && watch_has_hops(w)) {
		render_asked_owners(&what, w, &this);
		buf_printf(&looks, "%s := ARRAY(SELECT ", owners);
		render_indented(&looks, buf_cstr(&what), strlen("pgherald_own := ARRAY(SELECT "));
		buf_printf(&looks,
			   "::text\n"
			   "                      FROM %s AS this LIMIT 501);",
			   rows);
	}
	if (names && watch_has_names(w)) {
		buf_printf(&looks, "%s%s := ARRAY(SELECT ", looks.len ? "\n" : "", names);
		render_asked_names(&looks, w, &this);
		buf_printf(&looks,
			   "\n"
			   "                        FROM %s AS this LIMIT 501);",
			   rows);
	}
	if (looks.len)
		template_fill_within(
			out, sql_look,
			(const struct slot[]){{"looks", buf_cstr(&looks)}, {NULL, NULL}});
}

/* That an update has left the key and the columns alone that say who owns the row. */
static void add_this_stays(struct buf *out, const struct watch *w)
{
	struct columns c = {0};

	for (size_t i = 0; i < w->n_key; i++)
		columns_add(&c, w->key[i]);
	owner_columns_of(w, &c);
	render_agree(out, &c, "this", "past");
	free(c.names);
}

static void add_rescope(struct buf *out, const struct watch *w)
{
	for (size_t i = 0; i < w->n_rescope; i++) {
		buf_str(out, i ? "\n" : "");
		buf_str(out, w->notify ? "PERFORM pg_notify('pgherald_inline',\n"
					 "                  '{\"v\":1,\"topic\":\""
				       : "PERFORM pgherald.rescope('");
		buf_str(out, w->rescope[i]);
		buf_str(out, w->notify ? "\",\"op\":\"r\",\"reason\":\"rescope\"}');" : "');");
	}
}

void rescope_parts(struct buf *parts, const struct watch *w)
{
	struct buf *some = &parts[PART_RESCOPE], *all = &parts[PART_RESCOPE_ALL];

	if (!w->n_rescope)
		return;
	add_rescope(all, w);
	buf_str(some, w->notify ? "IF before <> after THEN\n  "
				: "IF moved OR reason IS NOT NULL THEN\n  ");
	render_indented(some, buf_cstr(all), 2);
	buf_str(some, "\nEND IF;");
	/* in the quick way: then one row is not all that there is to do */
	buf_str(&parts[PART_OR_NEW_MOVED], " OR own_new <> '{}'");
	buf_str(&parts[PART_NEW_MOVED], ", own_new <> '{}'");
	buf_str(&parts[PART_OR_OLD_MOVED], " OR own_old <> '{}'");
	buf_str(&parts[PART_OLD_MOVED], ", own_old <> '{}'");
	buf_str(&parts[PART_AND_MOVED], ", moved");
}

/* A row is deleted whose owners stood in tables that could not be looked at: with it may have gone
 * what led to them, so those who hear of the topic fetch again. Under SERIALIZABLE nobody looks. */
static void unknown_parts(struct buf *parts, const struct watch *w)
{
	static const char unknown[] =
		"pgherald_own IS NULL AND current_setting('transaction_isolation') <> "
		"'serializable' THEN\n  ";

	if (w->follow || !watch_has_hops(w))
		return;
	buf_printf(&parts[PART_VIGIL_GONE], "IF %sRAISE 'whose it was is not known';\nEND IF;",
		   unknown);
	buf_printf(
		&parts[PART_VIGIL],
		"IF TG_OP = 'DELETE' AND reason IS NULL AND %sPERFORM pgherald.rescope('%s');\nEND "
		"IF;",
		unknown, w->topic);
}

/* Where owners are followed: what this transaction has seen, for who tells of others that were open
 * beside it. */
static void vigil_parts(struct buf *parts, const struct watch *w)
{
	static const char snap[] = "pgherald_snap := txid_current_snapshot()::text;\n";
	autobuf mark = {0}, vigil = {0}, looks = {0};

	if (!w->follow)
		return;
	buf_init(&mark, RENDER_MAX);
	buf_init(&vigil, RENDER_MAX);
	buf_init(&looks, RENDER_MAX);
	ways_mark(&mark, w);
	template_fill_within(&vigil, sql_vigil,
			     (const struct slot[]){{"topic", w->topic},
						   {"way_mark", buf_cstr(&mark)},
						   {NULL, NULL}});
	buf_str(&parts[PART_DECLARE_SNAP], "pgherald_snap  text;    -- who has changed ways before "
					   "the look, with follow = yes");
	buf_str(&parts[PART_PAST], ", past");
	buf_str(&parts[PART_SNAP], ", json_build_array(txid_current_snapshot()::text)");
	/* before the look */
	for (enum part p = PART_LOOK_OLD; p <= PART_LOOK_GONE; p++) {
		buf_str(&looks, snap);
		buf_str(&looks, buf_cstr(&parts[p]));
		buf_clear(&parts[p]);
		buf_str(&parts[p], buf_cstr(&looks));
		buf_clear(&looks);
	}
	buf_str(&parts[PART_VIGIL_GONE], "IF FOUND THEN\n  ");
	render_indented(&parts[PART_VIGIL_GONE], buf_cstr(&vigil), 2);
	buf_str(&parts[PART_VIGIL_GONE], "\n  RETURNING coalesce(more, CASE WHEN id % 64 = 0 THEN "
					 "id END) INTO more;\nEND IF;");
	buf_str(&parts[PART_VIGIL], "IF reason IS NULL AND TG_OP IN ('UPDATE', 'DELETE') THEN\n  ");
	render_indented(&parts[PART_VIGIL], buf_cstr(&vigil), 2);
	buf_str(&parts[PART_VIGIL],
		"\n  RETURNING id INTO last_id;\n  written := written + 1;\nEND IF;");
}

void record_parts(struct buf *parts, const struct watch *w, const struct columns *c)
{
	bool names = watch_has_names(w), hops = watch_has_hops(w);

	render_key(&parts[PART_THIS_KEY], w, &this);
	add_own(&parts[PART_THIS_OWN], w, &this, OWN, "1");
	add_this_stays(&parts[PART_THIS_STAYS], w);
	render_differ(&parts[PART_THIS_DIFFERS], c, "past", "this");
	render_data(&parts[PART_THIS_DATA], w, c, &this, NULL);
	render_data(&parts[PART_THIS_DATA_GONE], w, c, &this, names ? NAMES "[1]" : NULL);
	buf_str(&parts[PART_I], w->n_channels ? "I" : "i");
	buf_str(&parts[PART_U], w->n_channels ? "U" : "u");
	buf_str(&parts[PART_D], w->n_channels ? "D" : "d");
	add_each(&parts[PART_EACH], w);
	if (names || hops)
		buf_str(&parts[PART_PLACE], ", row_number() OVER () AS " PLACE);
	add_cross(&parts[PART_CROSS_OLD], w, c, WAS, NULL);
	add_cross(&parts[PART_CROSS_NEW], w, c, OWN, NULL);
	add_cross(&parts[PART_CROSS_GONE], w, c, OWN, names ? NAMES "[" PLACE "]" : NULL);
	if (!w->follow) /* whoever reads looks anyway */
		add_look(&parts[PART_LOOK_NEW], w, "new_rows", OWN, NULL);
	add_look(&parts[PART_LOOK_OLD], w, "old_rows", WAS, NULL);
	add_look(&parts[PART_LOOK_GONE], w, "old_rows", OWN, NAMES);
	buf_str(&parts[PART_MOVED], w->follow ? "o.via <> n.via"
				    : hops    ? "o.own <> n.own OR o.via <> n.via"
					      : "o.own <> n.own");
	rescope_parts(parts, w);
	vigil_parts(parts, w);
	unknown_parts(parts, w);
}
