/* SPDX-License-Identifier: PostgreSQL
 * See render_way.h: who has lost and won a row, by what its transaction has recorded of the ways.
 */
#include "config.h"
#include "sql/render_way.h"

#include <string.h>

#include "sql/render.h"
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
	buf_str(out, "CASE WHEN ");
	steps_own(out, way, "p.key");
	if (!steps_are_last(way)) {
		buf_str(out, " THEN false ELSE true END");
		return;
	}
	buf_printf(out,
		   " THEN (\n"
		   "  SELECT sum(b.n) > 0\n"
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
		   "    ON b.key = p.key AND b.owner = p.owner) ELSE true END",
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
		"SELECT p.owner, -1, true\n"
		"FROM told AS t\n"
		"CROSS JOIN LATERAL ROWS FROM (jsonb_array_elements_text(t.data->7),\n"
		"                              jsonb_array_elements_text(t.data->8)) AS p (key, "
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
		way->n, buf_cstr(&key));
	render_indented(e->out, buf_cstr(&had), 2);
}

void render_lost_and_won(struct buf *out, const struct watch *w, const struct columns *c)
{
	autobuf led = {0};
	struct led e = {&led, c};

	if (!w->follow) {
		buf_str(out,
			"CROSS JOIN (SELECT '{}'::text[] AS lost, '{}'::text[] AS won) AS way");
		return;
	}
	buf_init(&led, RENDER_MAX);
	ways_of(w, add_led, &e);
	buf_str(out,
		"CROSS JOIN LATERAL (\n"
		"  SELECT coalesce(array_agg(n.owner) FILTER (WHERE n.net < 0 OR n.led), '{}') AS "
		"lost,\n"
		"         coalesce(array_agg(n.owner) FILTER (WHERE n.net > 0), '{}') AS won\n"
		"  FROM (SELECT u.owner, sum(u.n) AS net, bool_or(u.led) AS led\n"
		"        FROM (SELECT unnest(t.own_old) AS owner, -1 AS n, false AS led\n"
		"              FROM told AS t WHERE t.txid = o.txid AND t.pk = o.pk AND t.op = "
		"'w'\n"
		"              UNION ALL\n"
		"              SELECT unnest(t.own_new), 1, false\n"
		"              FROM told AS t WHERE t.txid = o.txid AND t.pk = o.pk AND t.op = "
		"'w'");
	render_indented(out, buf_cstr(&led), 14);
	buf_str(out, ") AS u\n"
		     "        GROUP BY u.owner) AS n) AS way");
}
