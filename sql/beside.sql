--# Part of settle_TOPIC (tell.sql) with follow = yes: transactions that were open side by side.
-- `written` ends with what others have changed of the ways (pgherald.beside), which counts here and is not told.
-- A v row has the snapshot in which its transaction has looked (an i row, in `past`, one of when it was written).
changed AS MATERIALIZED (
  SELECT j.txid, j.id, j.op, j.pk, j.own_old, j.nth <= cardinality(places) AS page, array_position(j.own_old, NULL) IS NOT NULL AS blind,
         CASE WHEN j.op = 'v' THEN coalesce(r.data->>0 = '{{way_mark}}', false)
              WHEN j.op IN ('i', 'u', 'd') THEN coalesce(r.data->>0 = '{{mark}}', false) ELSE j.op = 'w' END AS known,
         CASE WHEN j.op = 'v' THEN r.data->>10 WHEN j.op = 'i' THEN r.past->>0 END AS snap,
         CASE WHEN j.op = 'v' THEN r.data END AS vigil,
         CASE j.op WHEN 'd' THEN {{leads_now}}
                   WHEN 'u' THEN {{led_before}} END AS went,
         CASE WHEN j.op IN ('i', 'u') THEN {{leads_now}} END AS came,
         CASE WHEN j.op = 'i' THEN '-' WHEN j.op IN ('u', 'd') THEN {{node}} END AS before
  FROM unnest(written) WITH ORDINALITY
    AS j (txid, id, at, topic, op, pk, own_old, own_new, data, past, actor, n, nth)
  CROSS JOIN LATERAL (SELECT CASE WHEN j.op <> 'w' THEN j.data::jsonb END AS data, j.past::jsonb AS past OFFSET 0) AS r
  WHERE (j.op <> 'u' OR j.past IS NOT NULL) AND EXISTS (SELECT FROM told WHERE told.op = 'v')),
transactions AS MATERIALIZED (
  SELECT g.*, txid_snapshot_xmin(g.snap) AS low
  FROM (SELECT c.txid, max(c.id) FILTER (WHERE c.page AND c.op = 'v') AS vigil_id, bool_and(c.known) AS known,
               bool_or(c.page AND c.blind AND c.op IN ('u', 'd')) AS blind,
               (array_agg(c.snap ORDER BY c.id) FILTER (WHERE c.snap IS NOT NULL))[1]::txid_snapshot AS snap
        FROM changed AS c WHERE c.op <> '!' GROUP BY c.txid) AS g),
-- Of each that is told, those that it has not seen, and that have not seen it either. Of one that says "fetch
-- again", or has other ways, nobody knows what it has changed. (There are many pairs: first what costs least.)
beside AS MATERIALIZED (
  SELECT t.txid, array_agg(o.txid) AS at_once, bool_or(NOT o.known) AS unknown
  FROM transactions AS t
  JOIN transactions AS o ON (o.low IS NULL OR o.low <= t.txid) AND o.txid >= t.low AND o.txid <> t.txid
  WHERE t.vigil_id IS NOT NULL AND t.known AND NOT txid_visible_in_snapshot(o.txid, t.snap)
    AND (o.snap IS NULL OR NOT txid_visible_in_snapshot(t.txid, o.snap))
  GROUP BY t.txid),
-- Where there is too much for `written` to have all, everybody fetches again, unless it has all that there was
-- beside the transaction: one that has seen it ended is then among the rest.
crowd AS MATERIALIZED (
  SELECT t.txid, t.vigil_id, t.blind, coalesce(b.at_once, '{}') AS at_once,
         ARRAY(SELECT o.txid FROM transactions AS o
               WHERE o.txid <> t.txid AND NOT txid_visible_in_snapshot(o.txid, t.snap)) AS unseen,
         b.unknown IS TRUE OR cut.txid IS NOT NULL AS everybody
  FROM transactions AS t
  LEFT JOIN beside AS b ON b.txid = t.txid
  CROSS JOIN (SELECT max(c.txid) AS txid FROM changed AS c WHERE c.op = '!') AS cut
  WHERE t.vigil_id IS NOT NULL AND t.known AND t.snap IS NOT NULL
    AND (b.txid IS NOT NULL OR t.blind
         OR cut.txid IS NOT NULL AND NOT EXISTS (
           SELECT FROM transactions AS o
           WHERE txid_snapshot_xmax(o.snap) <= cut.txid AND txid_visible_in_snapshot(t.txid, o.snap)))),
steps AS MATERIALIZED (
  SELECT c.txid, p.n, p.key, p.value, p.came
  FROM changed AS c
  CROSS JOIN LATERAL (
    SELECT (c.vigil->>1)::int AS n, w.key, w.value, false AS came
    FROM ROWS FROM (jsonb_array_elements_text(c.vigil->3), jsonb_array_elements_text(c.vigil->4)) AS w (key, value)
    UNION ALL
    SELECT (c.vigil->>1)::int, w.key, w.value, true
    FROM ROWS FROM (jsonb_array_elements_text(c.vigil->5), jsonb_array_elements_text(c.vigil->6)) AS w (key, value)
    {{first_steps}}) AS p
  WHERE c.known AND p.value IS NOT NULL AND EXISTS (SELECT FROM crowd)),
-- Who is at the end of a way that has a step which the transaction made or took back, and one that another made
-- beside it (where the transaction itself has not looked: or took back since) fetches again. So does who has
-- lost and won by what the transaction has found, since one of both may have been so and the other not.
heard AS MATERIALIZED (
  SELECT t.txid, t.vigil_id, t.everybody,
         CASE WHEN t.everybody THEN '{}' ELSE ARRAY(
           WITH step AS MATERIALIZED (
             SELECT s.n, s.key, s.value, s.txid = t.txid AS mine, s.txid <> t.txid AND (s.came OR t.blind) AS other
             FROM steps AS s
             WHERE s.txid = t.txid OR s.txid = ANY (CASE WHEN s.came AND NOT t.blind THEN t.at_once ELSE t.unseen END)){{walks}}
           SELECT DISTINCT e.owner
           FROM ({{ends}}
                 UNION ALL
                 SELECT f.owner
                 FROM (SELECT w.pk, u.owner FROM told AS w CROSS JOIN LATERAL unnest(w.own_old) AS u (owner)
                       WHERE w.txid = t.txid AND w.op = 'w'
                       INTERSECT
                       SELECT w.pk, u.owner FROM told AS w CROSS JOIN LATERAL unnest(w.own_new) AS u (owner)
                       WHERE w.txid = t.txid AND w.op = 'w') AS f) AS e (owner)
           WHERE e.owner IS NOT NULL LIMIT 10001) END AS users
  FROM crowd AS t),
-- Each step of a row with what the next transaction that changed the row has found, which is what this one has left,
-- and who hears of it from that one.
stepped AS (
  SELECT s.*
  FROM (SELECT s.*, CASE WHEN lead(s.txid) OVER w <> s.txid THEN lead(s.before) OVER w END AS next,
               lead(s.own_old) OVER w AS next_own
        FROM (SELECT told.txid, told.id, told.pk, told.op, told.own_old, told.own_new, told.doc, told.data, told.past,
                     CASE WHEN told.op = 'i' THEN '-' ELSE {{told_node}} END AS before, true AS page
              FROM told WHERE told.op IN ('i', 'u', 'd', 'w')
              UNION ALL
              SELECT c.txid, c.id, c.pk, c.op, c.own_old, NULL, NULL, NULL, NULL, c.before, false
              FROM changed AS c WHERE c.known AND NOT c.page AND c.op IN ('i', 'u', 'd')) AS s
        WINDOW w AS (PARTITION BY s.pk, s.op = 'w' ORDER BY s.id)) AS s
  WHERE s.page),
