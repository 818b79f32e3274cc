/* SPDX-License-Identifier: PostgreSQL
 * See render.h: core, uninstall and what all pieces share. */
#include "config.h"
#include "sql/render.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "sql/ident.h"
#include "sql/template.h"
#include "sql/text.h"

/* Tables and columns that a role must be able to read, sorted by arrival. */
struct render_grants {
	const char *role;
	struct grant {
		char *schema, *table, *column;
	} * items;
	size_t n;
};

struct render_grants *render_grants_new(const char *role)
{
	struct render_grants *g = xcalloc(1, sizeof(*g));

	g->role = role;
	return g;
}

static bool same_table(const struct grant *a, const char *schema, const char *table)
{
	return strcmp(a->schema, schema) == 0 && strcmp(a->table, table) == 0;
}

void render_grants_add(struct render_grants *g, const char *schema, const char *table,
		       const char *column)
{
	for (size_t i = 0; i < g->n; i++)
		if (same_table(&g->items[i], schema, table) &&
		    strcmp(g->items[i].column, column) == 0)
			return;
	g->items = xrealloc(g->items, g->n + 1, sizeof(*g->items));
	g->items[g->n++] = (struct grant){xstrdup(schema), xstrdup(table), xstrdup(column)};
}

/* Whether an earlier item has the same schema and, unless NULL, the same table. */
static bool seen_before(const struct render_grants *g, size_t i, bool table_too)
{
	for (size_t j = 0; j < i; j++)
		if (table_too ? same_table(&g->items[j], g->items[i].schema, g->items[i].table)
			      : strcmp(g->items[j].schema, g->items[i].schema) == 0)
			return true;
	return false;
}

static void add_table_grant(const struct render_grants *g, size_t i, struct buf *out)
{
	const struct grant *first = &g->items[i];

	buf_str(out, "GRANT SELECT (");
	for (size_t j = i; j < g->n; j++) {
		if (!same_table(&g->items[j], first->schema, first->table))
			continue;
		if (j > i)
			buf_str(out, ", ");
		ident_add(out, g->items[j].column);
	}
	buf_str(out, ") ON ");
	ident_add_table(out, first->schema, first->table);
	buf_printf(out, " TO %s;\n", g->role);
}

static void add_table_literal(struct buf *out, const struct grant *item)
{
	autobuf name = {0};

	buf_init(&name, RENDER_MAX);
	ident_add_table(&name, item->schema, item->table);
	ident_add_literal(out, buf_cstr(&name));
}

void render_grants_tables(const struct render_grants *g, struct buf *out)
{
	const char *separator = "";

	for (size_t i = 0; i < g->n; i++) {
		if (seen_before(g, i, true))
			continue;
		buf_str(out, separator);
		add_table_literal(out, &g->items[i]);
		separator = ", ";
	}
}

void render_grants_columns(const struct render_grants *g, struct buf *out)
{
	for (size_t i = 0; i < g->n; i++) {
		buf_str(out, i ? "\n(" : "(");
		add_table_literal(out, &g->items[i]);
		buf_str(out, ", ");
		ident_add_literal(out, g->items[i].column);
		buf_str(out, "),");
	}
}

void render_grants_join(struct render_grants *g, const struct render_grants *other)
{
	for (size_t i = 0; i < other->n; i++)
		render_grants_add(g, other->items[i].schema, other->items[i].table,
				  other->items[i].column);
}

/* What is read there would be the code of whoever owns a view, or what his server sends. */
static void add_kinds(const struct render_grants *g, struct buf *out)
{
	autobuf tables = {0};

	buf_init(&tables, RENDER_MAX);
	render_grants_tables(g, &tables);
	template_fill(out, sql_kinds,
		      (const struct slot[]){{"tables", buf_cstr(&tables)}, {NULL, NULL}});
}

void render_grants_finish(const struct render_grants *g, struct buf *out)
{
	if (g->n)
		add_kinds(g, out);
	for (size_t i = 0; i < g->n; i++) {
		if (seen_before(g, i, false))
			continue;
		buf_str(out, "GRANT USAGE ON SCHEMA ");
		ident_add(out, g->items[i].schema);
		buf_printf(out, " TO %s;\n", g->role);
	}
	for (size_t i = 0; i < g->n; i++)
		if (!seen_before(g, i, true))
			add_table_grant(g, i, out);
	if (out->len && out->data[out->len - 1] == '\n')
		out->data[--out->len] = '\0'; /* the template has the line break */
}

void render_grants_stored(const struct render_grants *g, struct buf *out)
{
	autobuf columns = {0};

	buf_init(&columns, RENDER_MAX);
	render_grants_columns(g, &columns);
	template_fill(out, sql_stored,
		      (const struct slot[]){{"columns", buf_cstr(&columns)}, {NULL, NULL}});
}

void render_grants_free(struct render_grants *g)
{
	for (size_t i = 0; i < g->n; i++) {
		free(g->items[i].schema);
		free(g->items[i].table);
		free(g->items[i].column);
	}
	free(g->items);
	free(g);
}

void render_comment(struct buf *out, const char *text)
{
	for (; *text; text++)
		buf_char(out, (unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text);
}

void render_stamp(struct buf *out, const char *functions)
{
	const struct slot slots[] = {
		{"version", PACKAGE_VERSION},
		{"functions", functions},
		{NULL, NULL},
	};

	template_fill(out, sql_stamp, slots);
	if (out->len)
		out->data[--out->len] = '\0'; /* the template that holds it has the line break */
}

void render_begin(struct buf *out)
{
	buf_init(out, RENDER_MAX);
	template_fill(out, sql_begin, (const struct slot[]){{NULL, NULL}});
	if (out->len)
		out->data[--out->len] = '\0'; /* the template that holds it has the line break */
}

/* Cheapest test first. A transaction that has sent a NOTIFY cannot be prepared, and a full queue
 * would fail the COMMIT; an awake daemon holds the lock, and NOTIFY makes writers queue up. */
const char *render_may_ring(enum watch_doorbell doorbell)
{
	static const char *const conditions[] = {
		[DOORBELL_AUTO] = "current_setting('max_prepared_transactions') = '0'\n"
				  "AND pg_try_advisory_lock_shared(1885825394, 1)\n"
				  "AND pg_advisory_unlock_shared(1885825394, 1)\n"
				  "AND pg_notification_queue_usage() < 0.5",
		[DOORBELL_NOTIFY] = "pg_try_advisory_lock_shared(1885825394, 1)\n"
				    "AND pg_advisory_unlock_shared(1885825394, 1)\n"
				    "AND pg_notification_queue_usage() < 0.5",
		[DOORBELL_POLL] = "false",
	};

	return conditions[doorbell];
}

const char *render_asleep(enum watch_doorbell doorbell)
{
	return doorbell == DOORBELL_POLL ? "false"
					 : "pg_try_advisory_lock_shared(1885825394, 1)\n"
					   "AND pg_advisory_unlock_shared(1885825394, 1)";
}

/* A statement for each: pgherald.tell() keeps their plans. */
static void add_tellers(struct buf *out, const struct watch *const *told, size_t n)
{
	static const char always[] = "%s of_topic = '%s' THEN\n"
				     "  RETURN QUERY SELECT * FROM pgherald.settle_%s(places, "
				     "pgherald.beside(written));\n"
				     "  told := true;";
	static const char often[] =
		"%s of_topic = '%s' THEN\n"
		"  IF often THEN\n"
		"    RETURN QUERY SELECT * FROM pgherald.settle_%s(places, written);\n"
		"  ELSE\n"
		"    RETURN QUERY SELECT t.place, t.txid, t.id, t.at, t.topic, t.op, t.own_old, "
		"t.own_new, t.doc, t.leave\n"
		"                 FROM pgherald.tell_%s(places, written, false) AS t;\n"
		"  END IF;\n"
		"  told := true;";

	for (size_t i = 0; i < n; i++) {
		const char *topic = told[i]->topic, *word = i ? "\nELSIF" : "IF";

		if (told[i]->follow)
			buf_printf(out, always, word, topic, topic);
		else
			buf_printf(out, often, word, topic, topic, topic);
	}
	buf_str(out, n ? "\nELSIF" : "IF");
}

/* The schema is theirs to use, too, or the function could not be named; nothing else in it is. */
static void add_publishers(struct buf *grants, struct buf *literals, const struct render_core *core)
{
	for (size_t i = 0; i < core->n_publishers; i++) {
		const char *role = core->publishers[i];

		buf_str(grants, i ? "\nGRANT USAGE ON SCHEMA pgherald TO "
				  : "GRANT USAGE ON SCHEMA pgherald TO ");
		ident_add(grants, role);
		buf_str(grants, ";\nGRANT EXECUTE ON FUNCTION "
				"pgherald.publish(text, text, jsonb, text, text, boolean) TO ");
		ident_add(grants, role);
		buf_char(grants, ';');
		buf_str(literals, i ? ", " : "");
		ident_add_literal(literals, role);
	}
}

/* core, silence and uninstall have the same slots */
static void render_for_login(struct buf *out, const char *text, const struct render_core *core)
{
	autobuf ident = {0}, literal = {0}, comment = {0}, stamp = {0}, tellers = {0}, begin = {0},
		publishers = {0}, publisher_literals = {0};
	autofree char *max_bytes = xasprintf("%" PRIu64, core->journal_bytes);
	const char *login = core->login;

	buf_init(&ident, RENDER_MAX);
	buf_init(&literal, RENDER_MAX);
	buf_init(&comment, RENDER_MAX);
	buf_init(&stamp, RENDER_MAX);
	buf_init(&tellers, RENDER_MAX);
	buf_init(&publishers, RENDER_MAX);
	buf_init(&publisher_literals, RENDER_MAX);
	add_publishers(&publishers, &publisher_literals, core);
	render_begin(&begin);
	ident_add(&ident, login);
	ident_add_literal(&literal, login);
	render_comment(&comment, login);
	render_stamp(
		&stamp,
		"'utc', 'epoch', 'next_id', 'too_much', 'refetch', 'rescope', 'lost', 'indexed', "
		"'shut_when_full', "
		"'plain', 'plain_type', 'only_plain', 'as_text', 'as_jsonb', 'is_array', "
		"'spelled_once', "
		"'typed', 'user_key', 'channel_key', 'revoked', 'publish', 'kept_for', "
		"'forget_prepared', "
		"'tell', 'replay', "
		"'fetch_again', 'prune', 'beside'");
	add_tellers(&tellers, core->told, core->n_told);
	const struct slot slots[] = {
		{"version", PACKAGE_VERSION},
		{"login", buf_cstr(&ident)},
		{"login_literal", buf_cstr(&literal)},
		{"login_comment", buf_cstr(&comment)},
		{"stamp", buf_cstr(&stamp)},
		{"max_bytes", max_bytes},
		{"tellers", buf_cstr(&tellers)},
		{"publishers", buf_cstr(&publishers)},
		{"publisher_literals", buf_cstr(&publisher_literals)},
		{"may_ring", render_may_ring(core->doorbell)},
		{"begin", buf_cstr(&begin)},
		{NULL, NULL},
	};
	template_fill(out, text, slots);
}

void render_core(struct buf *out, const struct render_core *core)
{
	render_for_login(out, sql_core, core);
}

void render_silence(struct buf *out, const char *login)
{
	render_for_login(out, sql_silence, &(struct render_core){.login = login});
}

void render_uninstall(struct buf *out, const char *login)
{
	render_for_login(out, sql_uninstall, &(struct render_core){.login = login});
}
