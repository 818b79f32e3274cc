/* SPDX-License-Identifier: PostgreSQL
 * See render.h: all pieces of one watched table. */
#include "config.h"
#include "sql/render.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "sql/ident.h"
#include "sql/render_doc.h"
#include "sql/render_parts.h"
#include "sql/render_teller.h"
#include "sql/template.h"
#include "sql/text.h"

static const char *const part_names[N_PARTS] = {
	[PART_TABLE] = "table",
	[PART_TABLE_LITERAL] = "table_literal",
	[PART_SCHEMA_LITERAL] = "schema_literal",
	[PART_NAME_LITERAL] = "name_literal",
	[PART_TABLE_COMMENT] = "table_comment",
	[PART_COLUMNS] = "columns",
	[PART_KEY_ARRAY] = "key_array",
	[PART_TEXT_COLUMNS] = "text_columns",
	[PART_UTC_COLUMNS] = "utc_columns",
	[PART_GRANTS] = "grants",
	[PART_THIS_KEY] = "this_key",
	[PART_THIS_OWN] = "this_own",
	[PART_THIS_STAYS] = "this_stays",
	[PART_THIS_DIFFERS] = "this_differs",
	[PART_THIS_DATA] = "this_data",
	[PART_THIS_DATA_GONE] = "this_data_gone",
	[PART_PLACE] = "place",
	[PART_EACH] = "each",
	[PART_CROSS_OLD] = "cross_old",
	[PART_CROSS_NEW] = "cross_new",
	[PART_CROSS_GONE] = "cross_gone",
	[PART_LOOK_NEW] = "look_new",
	[PART_LOOK_OLD] = "look_old",
	[PART_LOOK_GONE] = "look_gone",
	[PART_MOVED] = "moved",
	[PART_DECLARE_SNAP] = "declare_snap",
	[PART_VIGIL] = "vigil",
	[PART_VIGIL_GONE] = "vigil_gone",
	[PART_PAST] = "past",
	[PART_SNAP] = "snap",
	[PART_RESCOPE] = "rescope",
	[PART_RESCOPE_ALL] = "rescope_all",
	[PART_OR_NEW_MOVED] = "or_new_moved",
	[PART_NEW_MOVED] = "new_moved",
	[PART_OR_OLD_MOVED] = "or_old_moved",
	[PART_OLD_MOVED] = "old_moved",
	[PART_AND_MOVED] = "and_moved",
	[PART_I] = "i",
	[PART_U] = "u",
	[PART_D] = "d",
	[PART_MARK] = "mark",
	[PART_WRITTEN] = "written",
	[PART_TOLD_OP] = "told_op",
	[PART_SETTLED_OP] = "settled_op",
	[PART_DOC] = "doc",
	[PART_LEAVE] = "leave",
	[PART_TOLD_OWNERS] = "told_owners",
	[PART_TOLD_OLD] = "told_old",
	[PART_TOLD_NEW] = "told_new",
	[PART_THIS_OWNERS] = "this_owners",
	[PART_THIS_IS] = "this_is",
	[PART_TOLD_BEFORE] = "told_before",
	[PART_TOLD_AFTER] = "told_after",
	[PART_NOW_NODE] = "now_node",
	[PART_LOOKED_UP] = "looked_up",
	[PART_ALONE] = "alone",
	[PART_OFTEN] = "often",
	[PART_ONCE] = "once",
	[PART_AT_ONCE] = "at_once",
	[PART_HEARD] = "heard",
	[PART_STEPPED] = "stepped",
	[PART_NEXT] = "next",
	[PART_NEXT_OWN] = "next_own",
	[PART_OPENED] = "opened",
	[PART_ROUND] = "round",
	[PART_GONE] = "gone",
	[PART_BESIDE] = "beside",
	[PART_LOST_AND_WON] = "lost_and_won",
	[PART_OF_WAY] = "of_way",
	[PART_WAY_MARK] = "way_mark",
	[PART_CROSS] = "cross",
	[PART_PK] = "pk",
	[PART_SAME_KEY] = "same_key",
	[PART_DIFFERS] = "differs",
	[PART_ASKED] = "asked",
	[PART_NAMES_OF_KEYS] = "names_of_keys",
	[PART_OWNERS_OF_KEYS] = "owners_of_keys",
	[PART_N_WAYS] = "n_ways",
	[PART_STAMP] = "stamp",
	[PART_STAMP_TELLER] = "stamp_teller",
	[PART_FUNCTIONS] = "functions",
};

static void add_array(struct buf *out, const char *const *names, size_t n)
{
	size_t line = out->len;

	buf_str(out, "ARRAY[");
	for (size_t i = 0; i < n; i++) {
		render_comma(out, i, &line);
		ident_add_literal(out, names[i]);
	}
	buf_char(out, ']');
}

/* "('schema', 'table', 'column', spelled)," of a list that goes on. */
static void add_table_column(void *arg, const struct table_column *c)
{
	struct buf *out = arg;

	buf_str(out, out->len ? "\n(" : "(");
	ident_add_literal(out, c->schema);
	buf_str(out, ", ");
	ident_add_literal(out, c->table);
	buf_str(out, ", ");
	ident_add_literal(out, c->column);
	buf_str(out, c->spelled ? ", true)," : ", false),");
}

static size_t count_ways(const struct watch *w)
{
	size_t n = 0;

	for (size_t i = 0; i < w->n_owners; i++)
		n += w->owners[i].n_hops;
	return n;
}

static void add_stored(struct buf *out, const struct watch *w, const struct columns *c)
{
	struct render_grants *g = render_grants_new("");

	for (size_t i = 0; i < c->n; i++)
		render_grants_add(g, w->schema, w->table, c->names[i]);
	render_grants_stored(g, out);
	render_grants_free(g);
}

static void table_parts(struct buf *parts, const struct watch *w, const struct columns *c)
{
	ident_add_table(&parts[PART_TABLE], w->schema, w->table);
	ident_add_literal(&parts[PART_TABLE_LITERAL], buf_cstr(&parts[PART_TABLE]));
	ident_add_literal(&parts[PART_SCHEMA_LITERAL], w->schema);
	ident_add_literal(&parts[PART_NAME_LITERAL], w->table);
	render_comment(&parts[PART_TABLE_COMMENT], buf_cstr(&parts[PART_TABLE]));
	add_array(&parts[PART_COLUMNS], c->names, c->n);
	add_array(&parts[PART_KEY_ARRAY], (const char *const *)w->key, w->n_key);
	text_columns_of(w, add_table_column, &parts[PART_TEXT_COLUMNS]);
	utc_columns_of(w, add_table_column, &parts[PART_UTC_COLUMNS]);
	add_stored(&parts[PART_GRANTS], w, c);
	teller_grants(&parts[PART_GRANTS], w);
	buf_u64(&parts[PART_N_WAYS], w->follow ? count_ways(w) : 0);
}

static void key_parts(struct buf *parts, const struct watch *w)
{
	struct columns names = {0}, hops = {0};
	/* by the function: a column of the application may be called keys */
	autofree char *for_names = xasprintf("names_%s.keys", w->topic),
		      *for_owners = xasprintf("owners_%s.keys", w->topic);

	name_columns_of(w, &names);
	hop_columns_of(w, &hops);
	if (names.n)
		render_names(&parts[PART_NAMES_OF_KEYS], w,
			     &(struct row){.name = for_names, .keys = &names});
	if (hops.n)
		render_owners(&parts[PART_OWNERS_OF_KEYS], w,
			      &(struct row){.name = for_owners, .keys = &hops}, NULL);
	free(names.names);
	free(hops.names);
}

/* The functions that read tables, as a list of literals. */
static void add_functions(struct buf *out, const struct watch *w)
{
	if (!w->notify)
		buf_printf(out, "'tell_%s', 'settle_%s'", w->topic, w->topic);
	if (watch_has_names(w))
		buf_printf(out, "%s'names_%s'", out->len ? ", " : "", w->topic);
	if (watch_has_hops(w))
		buf_printf(out, "%s'owners_%s'", out->len ? ", " : "", w->topic);
}

static void add_stamps(struct buf *parts, const struct watch *w)
{
	autofree char *on = xasprintf("'on_%s'", w->topic);

	render_stamp(&parts[PART_STAMP], on);
	add_functions(&parts[PART_FUNCTIONS], w);
	if (parts[PART_FUNCTIONS].len)
		render_stamp(&parts[PART_STAMP_TELLER], buf_cstr(&parts[PART_FUNCTIONS]));
}

static void add_teller(struct buf *home, struct buf *away, const struct watch *w,
		       const struct render_all *all, const char *table_literal)
{
	autofree char *readers = xasprintf("^(tell|settle|names|owners)_%s$", w->topic);
	autofree char *lookups = xasprintf("^(names|owners)_%s$", w->topic);
	const struct teller t = {w, all, table_literal, readers, lookups};

	teller_home(home, &t);
	teller_away(away, &t);
}

static void render(struct buf *out, const char *text, const struct watch *w,
		   const struct render_all *all)
{
	enum { PARTS, REFUSE, ON, TELL, NAMES_OF, OWNERS_OF, TABLES_ONLY, SETTINGS, N_INNER };
	enum { N_OTHERS = 7 };
	static const char *const inner_names[N_INNER] = {
		"parts", "refuse", "on", "tell", "names", "owners", "tables_only", "settings"};
	static const char no_names[] =
		"DROP FUNCTION IF EXISTS pgherald.names_{{topic}}(text[]);\n",
			  no_owners[] =
				  "DROP FUNCTION IF EXISTS pgherald.owners_{{topic}}(text[]);\n";
	bool names = watch_has_names(w), owners = watch_has_hops(w);
	const char *const inner_texts[N_INNER] = {
		[PARTS] = sql_parts,
		[REFUSE] = sql_refuse,
		[ON] = w->notify ? sql_on_inline : sql_on_journal,
		[TELL] = w->notify ? sql_tell_nothing : sql_tell,
		[NAMES_OF] = names ? sql_names : no_names,
		[OWNERS_OF] = owners ? sql_owners : no_owners,
		[TABLES_ONLY] = !w->notify || names || owners ? sql_tables_only : "",
		[SETTINGS] = w->notify ? "" : sql_settings,
	};
	struct buf parts[N_PARTS], inner[N_INNER], begin;
	autobuf home = {0}, away = {0};
	struct slot slots[N_PARTS + N_OTHERS + N_INNER + 1];
	struct columns columns = {0};
	size_t n = 0;

	for (size_t i = 0; i < N_PARTS; i++)
		buf_init(&parts[i], RENDER_MAX);
	columns_of(w, &columns);
	table_parts(parts, w, &columns);
	key_parts(parts, w);
	if (w->notify) {
		inline_parts(parts, w, &columns);
	} else {
		record_parts(parts, w, &columns);
		tell_parts(parts, w, &columns);
	}
	add_stamps(parts, w);
	for (; n < N_PARTS; n++)
		slots[n] = (struct slot){part_names[n], buf_cstr(&parts[n])};
	slots[n++] = (struct slot){"topic", w->topic};
	slots[n++] = (struct slot){"version", PACKAGE_VERSION};
	slots[n++] = (struct slot){"may_ring", render_may_ring(w->doorbell)};
	slots[n++] = (struct slot){"asleep", render_asleep(w->doorbell)};
	render_begin(&begin);
	slots[n++] = (struct slot){"begin", buf_cstr(&begin)};
	buf_init(&home, RENDER_MAX);
	buf_init(&away, RENDER_MAX);
	add_teller(&home, &away, w, all, buf_cstr(&parts[PART_TABLE_LITERAL]));
	slots[n++] = (struct slot){"home", buf_cstr(&home)};
	slots[n++] = (struct slot){"teller", buf_cstr(&away)};
	for (size_t i = 0; i < N_INNER; i++) {
		slots[n] = (struct slot){NULL, NULL};
		buf_init(&inner[i], RENDER_MAX);
		template_fill_within(&inner[i], inner_texts[i], slots);
		slots[n++] = (struct slot){inner_names[i], buf_cstr(&inner[i])};
	}
	slots[n] = (struct slot){NULL, NULL};
	template_fill(out, text, slots);
	for (size_t i = 0; i < N_INNER; i++)
		buf_free(&inner[i]);
	for (size_t i = 0; i < N_PARTS; i++)
		buf_free(&parts[i]);
	buf_free(&begin);
	free(columns.names);
}

void render_watch(struct buf *out, const struct watch *w, const struct render_all *all)
{
	render(out, sql_watch, w, all);
}

void render_unwatch(struct buf *out, const struct watch *w)
{
	render(out, sql_unwatch, w, NULL);
}
