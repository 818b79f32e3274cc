/* SPDX-License-Identifier: PostgreSQL
 * See render_way.h: who has lost and won a row, by what its transaction has recorded of the ways.
 */
#include "config.h"
#include "sql/render_way.h"

#include <string.h>

#include "base/mem.h"
#include "sql/render.h"
#include "sql/render_parts.h"
#include "sql/render_row.h"
#include "sql/render_steps.h"

struct led {
	struct buf *out;
	const struct columns *columns;
};

/* That the owner p had not come only with the transaction: it took more such steps than it made. Of
 * tables in the middle whoever is at the end of a step that it made fetches again, see
 * add_taken_back(). */
static void add_had_before(struct buf *out, const struct way *way)
{
	if (!steps_are_last(way)) {
		buf_str(out, "NOT ");
		steps_own(out, way, "p.key");
		return;
	}
	buf_printf(out,
		   "(SELECT sum(b.n) > 0\n"
		   "  FROM (SELECT t.txid) AS of\n"
		   "  JOIN LATERAL (\n"
		   "    SELECT c.key, c.owner, 1 AS n\n"
		   "    FROM told AS b CROSS JOIN LATERAL ROWS FROM "
		   "(jsonb_array_elements_text(b.data->3),\n"
		   "      jsonb_array_elements_text(b.data->4)) AS c (key, owner)\n"
		   "    WHERE b.txid = of.txid AND b.op = 'v' AND b.data->>1 = '%zu'\n"
		   "    UNION ALL\n"
		   "    SELECT c.key, c.owner, -1\n"
		   "    FROM told AS b CROSS JOIN LATERAL ROWS FROM "
		   "(jsonb_array_elements_text(b.data->5),\n"
		   "      jsonb_array_elements_text(b.data->6)) AS c (key, owner)\n"
		   "    WHERE b.txid = of.txid AND b.op = 'v' AND b.data->>1 = '%zu') AS b\n"
		   "    ON b.key = p.key AND b.owner = p.owner)",
		   way->n, way->n);
}

/* A row that a cascade deletes, or leads elsewhere, together with what leads to its owners: neither
 * trigger finds the other's rows, but what was recorded here has the owners of that key. These were
 * owners before, whoever is found later. */
static void add_led(void *arg, const struct way *way)
{
	const struct led *e = arg;
	autobuf key = {0}, had = {0};

	if (way->place)
		return;
	buf_init(&key, RENDER_MAX);
	buf_init(&had, RENDER_MAX);
	render_value(&key, &(struct row){.name = "it.was", .places = e->columns}, "->>",
		     way->owner->column);
	add_had_before(&had, way);
	buf_printf(
		e->out,
		"\nUNION ALL\n"
		"SELECT p.owner, -1, true, false, %s\n"
		"FROM told AS t\n"
		"CROSS JOIN LATERAL ROWS FROM (jsonb_array_elements_text(t.data->7),\n"
		"                              "
		"jsonb_array_elements_text(coalesce(nullif(t.data->8, 'null'), '[]'))) AS p (key, "
		"owner)\n"
		"WHERE o.befores IS NOT NULL AND f.start <> '-' AND t.txid = o.txid AND t.op = "
		"'v'\n"
		"  AND t.data->>1 = '%zu' AND p.key = %s\n"
		"  AND NOT EXISTS (SELECT FROM ROWS FROM (jsonb_array_elements_text(t.data->9),\n"
		"                                         jsonb_array_elements_text(t.data->11)) "
		"AS f "
		"(pk, key)\n"
		"                  WHERE f.pk = o.pk AND f.key = p.key)\n"
		"  AND ",
		steps_are_last(way) ? "true" : "false", way->n, buf_cstr(&key));
	render_indented(e->out, buf_cstr(&had), 2);
}

/* Who is at the end of a way from the row, as it was before, that has a step which the transaction
 * made. Within one statement (a WITH that writes, a trigger of the application that does) whoever
 * looks sees what comes with it, however early that was recorded, so of these no look says that
 * they owned the row before. */
static void add_fresh(struct buf *out, const struct watch *w, const struct columns *c)
{
	const struct row was = {.name = "it.was", .places = c};
	autobuf first = {0}, walks = {0}, ends = {0};
	size_t n = 1;

	buf_init(&first, RENDER_MAX);
	buf_init(&walks, RENDER_MAX);
	buf_init(&ends, RENDER_MAX);
	for (size_t i = 0; i < w->n_owners; n += w->owners[i++].n_hops) {
		if (!w->owners[i].n_hops)
			continue;
		buf_printf(&first, "\nUNION ALL SELECT -%zu, NULL, ", n);
		render_text(&first, &was, w->owners[i].column);
		buf_str(&first, ", false, false");
	}
	render_walks(&walks, &ends, w, true);
	buf_str(out, "CROSS JOIN LATERAL (\n"
		     "  SELECT m.made, CASE WHEN m.made THEN ARRAY(\n"
		     "    WITH step AS MATERIALIZED (\n"
		     "      SELECT (t.data->>1)::int AS n, s.key, s.value, s.came AS mine, s.came "
		     "AS other\n"
		     "      FROM told AS t\n"
		     "      CROSS JOIN LATERAL (\n"
		     "        SELECT a.key, a.value, false AS came\n"
		     "        FROM ROWS FROM (jsonb_array_elements_text(t.data->3), "
		     "jsonb_array_elements_text(t.data->4)) AS a (key, value)\n"
		     "        UNION ALL\n"
		     "        SELECT a.key, a.value, true\n"
		     "        FROM ROWS FROM (jsonb_array_elements_text(t.data->5), "
		     "jsonb_array_elements_text(t.data->6)) AS a (key, value)) AS s\n"
		     "      WHERE t.txid = o.txid AND t.op = 'v'");
	render_indented(out, buf_cstr(&first), 6);
	buf_char(out, ')');
	render_indented(out, buf_cstr(&walks), 4);
	buf_str(out, "\n    SELECT DISTINCT e.value\n    FROM (");
	render_indented(out, buf_cstr(&ends), 10);
	buf_str(out, ") AS e) ELSE '{}' END AS owners\n"
		     "  FROM (SELECT EXISTS (SELECT FROM told AS t WHERE t.txid = o.txid AND "
		     "t.op = 'v' AND t.data->5 <> '[]') AS made) AS m) AS fresh\n");
}

/* Of whom the first that was recorded says that he was an owner: before the row itself was led
 * elsewhere (own_id), which says who they all were, and before a step that leads to nobody knows
 * whom; a way that was taken from the row where the transaction had led it says nothing. He was one
 * before the transaction, as is who has lost more ways than he got (way.counted). And of whom
 * anything was recorded. (The owners of an update that led nowhere else are looked up now.) */
static void add_known(struct buf *out, const struct watch *w, const struct columns *c)
{
	autobuf node = {0};

	buf_init(&node, RENDER_MAX);
	render_node(&node, w, &(struct row){.name = "t.data", .places = c});
	buf_str(out,
		"CROSS JOIN LATERAL (\n"
		"  SELECT coalesce(array_agg(e.owner) FILTER (WHERE e.sure AND e.owner <> ALL "
		"(fresh.owners)), '{}') AS sure,\n"
		"         coalesce(array_agg(e.owner), '{}') AS seen, fresh.made\n"
		"  FROM (SELECT u.owner, coalesce(min(u.id) FILTER (WHERE u.had)\n"
		"                                 <= least(min(u.id) FILTER (WHERE NOT u.had), "
		"o.opened, "
		"o.own_id), bool_or(u.had)) AS sure\n"
		"        FROM (SELECT c.owner, t.op <> 'w' OR o.befores IS NULL OR ");
	buf_str(out, buf_cstr(&node));
	buf_str(out,
		" = f.start AS had, t.id\n"
		"              FROM told AS t CROSS JOIN LATERAL unnest(t.own_old) AS c (owner)\n"
		"              WHERE t.txid = o.txid AND t.pk = o.pk\n"
		"                AND (t.op = 'w' OR (t.op = 'd' OR t.op = 'u' AND t.past IS NOT "
		"NULL)\n"
		"                     AND NOT EXISTS (SELECT FROM crowd WHERE crowd.txid = o.txid "
		"AND crowd.blind)\n"
		"                     AND NOT EXISTS (SELECT FROM told AS v WHERE v.txid = o.txid "
		"AND v.op = 'v' AND v.data->>2 = 'false'))\n"
		"              UNION ALL\n"
		"              SELECT c.owner, false, t.id\n"
		"              FROM told AS t\n"
		"              CROSS JOIN LATERAL (SELECT unnest(t.own_new)\n"
		"                                  EXCEPT SELECT unnest(t.own_old)) AS c (owner)\n"
		"              WHERE t.txid = o.txid AND t.pk = o.pk AND t.op = 'w' AND c.owner <> "
		"ALL "
		"(way.counted)) AS u\n"
		"        WHERE u.owner IS NOT NULL\n"
		"        GROUP BY u.owner) AS e) AS known");
}

/* A way that a step in the middle made is one to each owner of now, but nobody has counted how many
 * these are: by what was taken since, an owner who has come by two of them would seem never to have
 * come. So where there is one (o.opened), came is who may have come with it: whose sum up to there
 * does not say that he was there before. */
void render_lost_and_won(struct buf *out, const struct watch *w, const struct columns *c)
{
	autobuf led = {0};
	struct led e = {&led, c};

	if (!w->follow) {
		buf_str(out, "CROSS JOIN (SELECT '{}'::text[] AS lost, '{}'::text[] AS won, "
			     "'{}'::text[] AS came, '{}'::text[] AS led, '{}'::text[] AS counted) "
			     "AS way\n"
			     "CROSS JOIN (SELECT '{}'::text[] AS sure, '{}'::text[] AS seen, "
			     "false AS made) AS known");
		return;
	}
	buf_init(&led, RENDER_MAX);
	ways_of(w, add_led, &e);
	add_fresh(out, w, c);
	buf_str(out,
		"CROSS JOIN LATERAL (\n"
		"  SELECT coalesce(array_agg(n.owner) FILTER (WHERE n.net < 0 OR n.led), '{}') AS "
		"lost,\n"
		"         coalesce(array_agg(n.owner) FILTER (WHERE n.net > 0), '{}') AS won,\n"
		"         coalesce(array_agg(n.owner) FILTER (WHERE n.net > 0 OR o.opened IS NOT "
		"NULL AND n.had >= 0), '{}')\n"
		"           AS came,\n"
		"         coalesce(array_agg(n.owner) FILTER (WHERE n.led AND (n.counted OR "
		"n.owner <> "
		"ALL (fresh.owners))), '{}')\n"
		"           AS led,\n"
		"         coalesce(array_agg(n.owner) FILTER (WHERE n.had < 0 OR o.opened IS NULL "
		"AND n.net < 0), '{}') AS counted\n"
		"  FROM (SELECT u.owner, sum(u.n) AS net,\n"
		"               coalesce(sum(u.n) FILTER (WHERE u.early), 0) AS had,\n"
		"               bool_or(u.led) AS led, bool_or(u.counted) AS counted\n"
		"        FROM (SELECT unnest(t.own_old) AS owner, -1 AS n, false AS led, t.id <= "
		"o.opened AS early, false AS counted\n"
		"              FROM told AS t WHERE t.txid = o.txid AND t.pk = o.pk AND t.op = "
		"'w'\n"
		"              UNION ALL\n"
		"              SELECT unnest(t.own_new), 1, false, t.id < o.opened, false\n"
		"              FROM told AS t WHERE t.txid = o.txid AND t.pk = o.pk AND t.op = "
		"'w'");
	render_indented(out, buf_cstr(&led), 14);
	buf_str(out, ") AS u\n"
		     "        GROUP BY u.owner) AS n) AS way\n");
	add_known(out, w, c);
}
