/* SPDX-License-Identifier: PostgreSQL
 * See render_steps.h, and render_way.h: what settle_TOPIC says of what the ways have recorded. */
#include "config.h"
#include "sql/render_steps.h"

#include <inttypes.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "sql/ident.h"
#include "sql/render.h"
#include "sql/render_doc.h"

static const struct row this = {.name = "this", .record = true};

bool steps_are_last(const struct way *way)
{
	return way->place + 1 == way->owner->n_hops;
}

static void add_table(struct buf *out, const struct watch_owner *o, size_t i)
{
	ident_add_table(out, o->hops[i].schema, o->hops[i].table);
	buf_printf(out, " AS h%zu", i + 1);
}

/* "table AS h2 ON h2.key = h1.value" */
static void add_join(struct buf *out, const struct watch_owner *o, size_t i)
{
	autofree char *before = xasprintf("h%zu", i), *here = xasprintf("h%zu", i + 1);

	buf_str(out, "\nJOIN ");
	add_table(out, o, i);
	buf_str(out, " ON ");
	render_match(out, &(struct row){.name = before, .record = true}, o->hops[i - 1].value, here,
		     o->hops[i].key);
}

void steps_back(struct buf *out, const struct way *way)
{
	const struct watch_owner *o = way->owner;

	ident_add_table(out, way->watch->schema, way->watch->table);
	buf_str(out, " AS this");
	for (size_t i = 0; i < way->place; i++) {
		if (i) {
			add_join(out, o, i);
			continue;
		}
		buf_str(out, "\nJOIN ");
		add_table(out, o, 0);
		buf_str(out, " ON ");
		render_match(out, &this, o->column, "h1", o->hops[0].key);
	}
}

void steps_begin(struct buf *out, const struct way *way, const char *key)
{
	const struct row text = {.name = key, .text = true};
	autofree char *last = xasprintf("h%zu", way->place);

	if (way->place)
		render_match(out, &text, "", last, way->owner->hops[way->place - 1].value);
	else
		render_match(out, &text, "", "this", way->owner->column);
}

void steps_on(struct buf *out, const struct way *way, const char *value)
{
	const struct watch_owner *o = way->owner;
	size_t first = way->place + 1;
	autofree char *next = xasprintf("h%zu", first + 1), *end = xasprintf("h%zu", o->n_hops);

	buf_str(out, "SELECT ");
	render_text(out, &(struct row){.name = end, .record = true}, o->hops[o->n_hops - 1].value);
	buf_str(out, " AS owner\nFROM ");
	add_table(out, o, first);
	for (size_t i = first + 1; i < o->n_hops; i++)
		add_join(out, o, i);
	buf_str(out, "\nWHERE ");
	render_match(out, &(struct row){.name = value, .text = true}, "", next, o->hops[first].key);
}

void steps_own(struct buf *out, const struct way *way, const char *key)
{
	buf_printf(
		out,
		"EXISTS (SELECT FROM told AS b, jsonb_array_elements_text(b.data->5) AS c (key)\n"
		"        WHERE b.txid = t.txid AND b.op = 'v' AND b.data->>1 = '%zu' AND b.id < "
		"t.id AND c.key = %s)",
		way->n, key);
}

static uint32_t hash_text(uint32_t hash, const char *text)
{
	do
		hash = (hash ^ (unsigned char)*text) * 16777619U;
	while (*text++);
	return hash;
}

/* FNV-1a, as columns_mark(). */
void ways_mark(struct buf *out, const struct watch *w)
{
	uint32_t hash = hash_text(2166136261U, "ways");

	for (size_t i = 0; w->follow && i < w->n_owners; i++) {
		const struct watch_owner *o = &w->owners[i];

		hash = hash_text(hash, o->column);
		for (size_t k = 0; k < o->n_hops; k++) {
			hash = hash_text(hash, o->hops[k].schema);
			hash = hash_text(hash, o->hops[k].table);
			hash = hash_text(hash, o->hops[k].key);
			hash = hash_text(hash, o->hops[k].value);
		}
	}
	if (w->follow)
		buf_printf(out, "%08" PRIx32, hash);
}

struct each {
	struct buf *out;
	const struct columns *columns;
};

/* Rows that are there now, and were not found by the writer. */
static void add_uncovered(void *arg, const struct way *way)
{
	struct buf *out = ((struct each *)arg)->out;
	autobuf rows = {0}, begin = {0};

	buf_init(&rows, RENDER_MAX);
	buf_init(&begin, RENDER_MAX);
	steps_back(&rows, way);
	steps_begin(&begin, way, "m.key");
	buf_printf(out,
		   "\nWHEN %zu THEN\n"
		   "  EXISTS (SELECT FROM (SELECT jsonb_array_elements_text(v.data->3)\n"
		   "                       UNION SELECT jsonb_array_elements_text(v.data->5)) AS m "
		   "(key)\n"
		   "          CROSS JOIN LATERAL (\n"
		   "            SELECT FROM ",
		   way->n);
	render_indented(out, buf_cstr(&rows), strlen("            SELECT FROM "));
	buf_str(out, "\n            WHERE ");
	render_indented(out, buf_cstr(&begin), strlen("            WHERE "));
	buf_str(out, "\n              AND NOT EXISTS (SELECT FROM told AS t WHERE t.txid = v.txid\n"
		     "                              AND t.pk = ");
	render_key(out, way->watch, &this);
	buf_str(out, ")\n            LIMIT 1) AS hit)");
}

/* Rows that were deleted as well, of which nothing says that it has their owners. */
static void add_vanished(void *arg, const struct way *way)
{
	const struct each *e = arg;
	autobuf key = {0};

	buf_init(&key, RENDER_MAX);
	render_value(&key, &(struct row){.name = "t.data", .places = e->columns}, "->>",
		     way->owner->column);
	buf_printf(e->out, "\nWHEN %zu THEN ", way->n);
	if (way->place)
		buf_str(e->out, "true");
	else
		buf_printf(e->out,
			   "EXISTS (\n"
			   "  SELECT FROM jsonb_array_elements_text(v.data->3) AS m (key)\n"
			   "  WHERE NOT EXISTS (SELECT FROM told AS t\n"
			   "                    WHERE t.txid = v.txid AND t.op IN ('i', 'u', 'd', "
			   "'w') AND %s = m.key))",
			   buf_cstr(&key));
}

/* Whom the values in this place of the row lead to now: text[]. */
static void add_owners(struct buf *out, const struct way *way, int place)
{
	autobuf on = {0};

	buf_init(&on, RENDER_MAX);
	if (steps_are_last(way)) {
		buf_printf(out, "ARRAY(SELECT jsonb_array_elements_text(v.data->%d))", place);
		return;
	}
	steps_on(&on, way, "m.value");
	buf_printf(out,
		   "ARRAY(SELECT DISTINCT o.owner\n"
		   "      FROM jsonb_array_elements_text(v.data->%d) AS m (value)\n"
		   "      CROSS JOIN LATERAL (\n"
		   "        ",
		   place);
	render_indented(out, buf_cstr(&on), 8);
	buf_str(out, ") AS o\n"
		     "      WHERE o.owner IS NOT NULL LIMIT 10001)");
}

static void add_winners(void *arg, const struct way *way)
{
	struct buf *out = ((struct each *)arg)->out;

	buf_printf(out, "\nWHEN %zu THEN\n  ", way->n);
	add_owners(out, way, 6);
}

/* Who came to what is gone while it went; and who went by the same cascade, further on: at that
 * time nothing led from the one to the other any more. What was found there all the same may be
 * what an old snapshot has, so it must have all that was found here. Whom the writer found is told
 * already, but only of the rows with the same key: by the next table's it is known which these are,
 * further on he must have been found for each. */
static void add_late(void *arg, const struct way *way)
{
	static const char cascade[] =
		"t.txid = v.txid AND t.op = 'v' AND v.data->3 <> '[]'\n"
		"             AND NOT (v.data->9 <> '[]' AND (t.data->9) @> (v.data->9))\n"
		"             AND CASE WHEN t.op = 'v' THEN (t.data->>1)::int END ";
	static const char found[] = "ROWS FROM (jsonb_array_elements_text(v.data->7),\n"
				    "                 jsonb_array_elements_text(coalesce("
				    "nullif(v.data->8, 'null'), '[]'))) AS f (key, owner)";
	struct buf *out = ((struct each *)arg)->out;
	size_t last = way->n + way->owner->n_hops - 1 - way->place;

	if (steps_are_last(way))
		return;
	buf_printf(out, "\nWHEN %zu THEN\n  ARRAY(SELECT unnest(", way->n);
	add_owners(out, way, 4);
	buf_printf(
		out,
		"\n  || ARRAY(SELECT unnest(t.own_old) FROM told AS t\n"
		"           WHERE %sBETWEEN %zu AND %zu))\n"
		"        EXCEPT SELECT unnest(v.own_old))\n"
		"  || ARRAY(SELECT l.owner\n"
		"           FROM told AS t\n"
		"           CROSS JOIN LATERAL ROWS FROM (jsonb_array_elements_text(t.data->7),\n"
		"             jsonb_array_elements_text(coalesce(nullif(t.data->8, 'null'), "
		"'[]'))) "
		"AS l (key, owner)\n"
		"           JOIN ROWS FROM (jsonb_array_elements_text(v.data->3),\n"
		"             jsonb_array_elements_text(v.data->4)) AS m (key, value) ON m.value = "
		"l.key\n"
		"           WHERE %s= %zu\n"
		"             AND NOT EXISTS (SELECT FROM %s\n"
		"                             WHERE f.key = m.key AND f.owner = l.owner))",
		cascade, way->n + 1, last, cascade, way->n + 1, found);
	if (last > way->n + 1)
		buf_printf(out,
			   "\n  || ARRAY(SELECT unnest(t.own_old) FROM told AS t\n"
			   "           WHERE %sBETWEEN %zu AND %zu\n"
			   "           EXCEPT SELECT f.owner FROM %s\n"
			   "           GROUP BY f.owner HAVING count(DISTINCT f.key) =\n"
			   "             (SELECT count(DISTINCT m.key) FROM "
			   "jsonb_array_elements_text(v.data->3) AS m (key)))",
			   cascade, way->n + 2, last, found);
}

/* A step that the transaction made and took back, while it led rows elsewhere: see render_led.c. */
static void add_taken_back(void *arg, const struct way *way)
{
	autobuf own_step = {0};

	if (way->place || steps_are_last(way))
		return;
	buf_init(&own_step, RENDER_MAX);
	steps_own(&own_step, way, "m.key");
	buf_printf(((struct each *)arg)->out,
		   "\nWHEN %zu THEN EXISTS (\n"
		   "  SELECT FROM told AS t, jsonb_array_elements_text(v.data->3) AS m (key)\n"
		   "  WHERE t.txid = v.txid AND t.id = v.id AND ",
		   way->n);
	render_indented(((struct each *)arg)->out, buf_cstr(&own_step), 2);
	buf_str(((struct each *)arg)->out, ")");
}

static void add_case(struct buf *out, const struct watch *w, const struct columns *c,
		     void (*each)(void *arg, const struct way *way), const char *otherwise)
{
	autobuf whens = {0};
	struct each e = {&whens, c};

	buf_init(&whens, RENDER_MAX);
	buf_str(&whens, "CASE (v.data->>1)::int");
	ways_of(w, each, &e);
	if (!memmem(whens.data, whens.len, "WHEN", 4)) {
		buf_str(out, otherwise);
		return;
	}
	buf_printf(&whens, "\nELSE %s END", otherwise);
	render_indented(out, buf_cstr(&whens), 11);
}

void render_of_way(struct buf *out, const struct watch *w, const struct columns *c)
{
	if (!w->follow) {
		buf_str(out, "CROSS JOIN (SELECT NULL::\"char\" AS op, NULL::text[] AS lost, "
			     "NULL::text[] AS won) AS way");
		return;
	}
	buf_str(out,
		"-- Of a v row: those concerned fetch again where there is more than the writer "
		"has "
		"found; everybody, where he\n"
		"-- could not find out who they are.\n"
		"LEFT JOIN LATERAL (\n"
		"  SELECT CASE WHEN v.data->>8 IS NULL OR h.everybody THEN 'r'\n"
		"              WHEN a.again OR l.late <> '{}' OR h.users <> '{}' OR m.users <> "
		"'{}' "
		"THEN 'f' ELSE 'x' END::\"char\" AS op,\n"
		"         CASE WHEN a.again THEN v.own_old || l.late ELSE l.late END || "
		"coalesce(h.users, '{}')\n"
		"           || m.users AS lost,\n"
		"         CASE WHEN a.again THEN\n"
		"           ");
	add_case(out, w, c, add_winners, "'{}'");
	buf_str(out, " ELSE '{}' END AS won\n"
		     "  FROM (SELECT told.txid, told.id, told.own_old, told.data\n"
		     "        WHERE told.op = 'v' OFFSET 0) AS v\n"
		     "  CROSS JOIN LATERAL (\n"
		     "    SELECT v.data->>1 <> '0' AND (v.data->>2 = 'false'\n"
		     "           OR ");
	add_case(out, w, c, add_uncovered, "true");
	buf_str(out, "\n"
		     "           OR EXISTS (SELECT FROM told AS t WHERE t.txid = v.txid AND t.op = "
		     "'d')\n"
		     "           AND ");
	add_case(out, w, c, add_vanished, "true");
	buf_str(out,
		"\n"
		"           OR EXISTS (SELECT FROM told AS t WHERE t.txid = v.txid\n"
		"                      AND (t.op = 'd' OR t.op = 'u' AND t.past IS NOT NULL))\n"
		"           AND ");
	add_case(out, w, c, add_taken_back, "false");
	buf_str(out, ") AS again OFFSET 0) AS a\n"
		     "  CROSS JOIN LATERAL (\n"
		     "    SELECT ");
	add_case(out, w, c, add_late, "'{}'::text[]");
	buf_str(out,
		" AS late OFFSET 0) AS l\n"
		"  CROSS JOIN LATERAL (\n"
		"    SELECT ARRAY(SELECT DISTINCT unnest(n.maybe) FROM net AS n WHERE n.txid = "
		"v.txid AND n.maybe IS NOT NULL\n"
		"                   AND NOT EXISTS (SELECT FROM told AS t WHERE t.txid = v.txid "
		"AND "
		"t.op = 'v' AND t.id > v.id)) AS users\n"
		"    OFFSET 0) AS m\n"
		"  LEFT JOIN heard AS h ON h.txid = v.txid AND h.vigil_id = v.id) AS way ON true");
}
