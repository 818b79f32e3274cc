--# What of a watch with capture = journal clients are told. See core.sql for {{names}}.
-- The documents of these rows of the journal, names and further owners as they are now. A row that was written
-- for another list of columns says "fetch again". For pgherald.tell(), which has the settings and reads the
-- journal: who reads tables of the application may not. `whole` has what settle_{{topic}}() needs besides.
CREATE OR REPLACE FUNCTION pgherald.tell_{{topic}}(places bigint[], written pgherald.journal[], whole boolean)
RETURNS TABLE (place bigint, txid bigint, id bigint, at timestamptz, topic text, op "char", own_old text[],
               own_new text[], doc json, leave json, pk text, data jsonb, past jsonb)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET row_security = off
AS $pgherald$
#variable_conflict use_column
BEGIN
  -- Nothing of a table is planned with other rights, whatever somebody has altered here.
  IF current_user OPERATOR(pg_catalog.<>) 'pgherald_teller' THEN
    RAISE insufficient_privilege;
  END IF;
  RETURN QUERY
  SELECT j.place, j.txid, j.id, j.at, j.topic,
         CASE WHEN it.one IS NULL AND j.op IN ('i', 'u', 'd') THEN 'r' ELSE j.op END,
         {{told_old}},
         {{told_new}},
         CASE WHEN it.one IS NOT NULL
              THEN {{doc}}
              WHEN j.op IN ('i', 'u', 'd') THEN '{"reason":"loss"}'
              ELSE j.data END,
         CASE WHEN it.was IS NOT NULL
              THEN {{leave}} END,
         j.pk, CASE WHEN whole THEN b.data END, CASE WHEN whole THEN b.past END
  FROM unnest(places, written)
    AS j (place, txid, id, at, topic, op, pk, own_old, own_new, data, past)
  CROSS JOIN LATERAL (SELECT j.data::jsonb AS data, j.past::jsonb AS past OFFSET 0) AS b
  CROSS JOIN LATERAL (SELECT CASE WHEN b.data->>0 = '{{mark}}' THEN b.data END AS one,
                             CASE WHEN b.past->>0 = '{{mark}}' THEN b.past END AS was
                      OFFSET 0) AS it
  {{told_owners}}
  ORDER BY 1, 3;
END
$pgherald$;

-- The same for transactions that wrote more than once of a row. When triggers, cascades or functions of the
-- application change a row again within a statement, that is recorded before the statement itself. So
-- what was recorded of such a row is told as it stands only if each step begins with the owners that
-- the one before has left, and the last one is the row as it is. Else the transaction tells of the row
-- once: from what it was before, to what it is now. (One that another transaction has changed since may be
-- told so as well: then that one's event follows.)
CREATE OR REPLACE FUNCTION pgherald.settle_{{topic}}(places bigint[], written pgherald.journal[])
RETURNS TABLE (place bigint, txid bigint, id bigint, at timestamptz, topic text, op "char", own_old text[],
               own_new text[], doc json, leave json)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET row_security = off
AS $pgherald$
#variable_conflict use_column
BEGIN
  -- Nothing of a table is planned with other rights, whatever somebody has altered here.
  IF current_user OPERATOR(pg_catalog.<>) 'pgherald_teller' THEN
    RAISE insufficient_privilege;
  END IF;
  RETURN QUERY
  WITH told AS MATERIALIZED (
    SELECT * FROM pgherald.tell_{{topic}}(places, written, true)),
  -- '-' is a row that is not there
  often AS (
    SELECT told.txid, told.pk, max(told.id) AS last_id,
           array_agg(CASE WHEN told.op = 'i' THEN '-' ELSE {{told_before}} END ORDER BY told.id) AS befores,
           array_agg(CASE WHEN told.op = 'd' THEN '-' ELSE {{told_after}} END ORDER BY told.id) AS afters,
           array_agg(CASE WHEN told.op = 'd' THEN told.data ELSE coalesce(told.past, told.data) END
                     ORDER BY told.id) AS images,
           (array_agg(told.doc::text ORDER BY told.id DESC))[1] AS last_doc
    FROM told
    WHERE told.op IN ('i', 'u', 'd')
    GROUP BY told.txid, told.pk
    HAVING count(*) > 1),
  settled AS MATERIALIZED (
    SELECT o.txid, o.pk, o.last_id, f.start, now.own, now.one IS NOT NULL AS present, say.doc, say.leave,
           (o.befores[2:] = o.afters[:cardinality(o.afters) - 1]
            AND o.afters[cardinality(o.afters)] = f.now
            AND (now.one IS NULL OR o.last_doc = say.doc::text)) IS TRUE AS holds
    FROM often AS o
    LEFT JOIN LATERAL (
      SELECT {{this_data}}::jsonb AS one,
             {{this_owners}} AS own
      FROM {{table}} AS this
      WHERE {{this_is}}) AS now ON true
    -- where the steps begin: what one begins with and none ends with; in a circle, where they end
    CROSS JOIN LATERAL (
      SELECT coalesce((SELECT n.node
                       FROM (SELECT unnest(o.befores) AS node, 1 AS n
                             UNION ALL SELECT unnest(o.afters), -1) AS n
                       GROUP BY n.node HAVING sum(n.n) > 0 LIMIT 1), e.node) AS start,
             e.node AS now
      FROM (SELECT CASE WHEN now.one IS NULL THEN '-' ELSE {{now_node}} END AS node) AS e) AS f
    LEFT JOIN LATERAL (
      SELECT u.image FROM unnest(o.befores, o.images) WITH ORDINALITY AS u (node, image, n)
      WHERE u.node = f.start ORDER BY u.n DESC LIMIT 1) AS w ON true
    CROSS JOIN LATERAL (SELECT coalesce(now.one, w.image) AS one, w.image AS was OFFSET 0) AS it
    CROSS JOIN LATERAL (SELECT {{doc}} AS doc,
                               {{leave}} AS leave OFFSET 0) AS say)
  SELECT told.place, told.txid, told.id, told.at, told.topic, so.op,
         CASE WHEN net.holds THEN told.own_old WHEN so.op IN ('u', 'd') THEN {{net_old}} ELSE '{}' END,
         CASE WHEN net.holds THEN told.own_new WHEN so.op IN ('i', 'u') THEN net.own ELSE '{}' END,
         CASE WHEN net.holds THEN told.doc WHEN so.op <> 'x' THEN net.doc END,
         CASE WHEN net.holds THEN told.leave WHEN so.op = 'u' THEN net.leave END
  FROM told
  LEFT JOIN settled AS s ON s.txid = told.txid AND s.pk = told.pk AND told.op IN ('i', 'u', 'd')
  CROSS JOIN LATERAL (SELECT coalesce(s.holds, true) AS holds, s.own, s.doc, s.leave, s.start) AS net
  CROSS JOIN LATERAL (
    SELECT CASE WHEN net.holds THEN told.op
                WHEN told.id <> s.last_id THEN 'x'
                WHEN s.start <> '-' THEN CASE WHEN s.present THEN 'u'::"char" ELSE 'd' END
                WHEN s.present THEN 'i'
                ELSE 'x' END AS op) AS so
  ORDER BY 1, 3;
END
$pgherald$;
REVOKE ALL ON FUNCTION pgherald.tell_{{topic}}(bigint[], pgherald.journal[], boolean),
  pgherald.settle_{{topic}}(bigint[], pgherald.journal[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgherald.tell_{{topic}}(bigint[], pgherald.journal[], boolean),
  pgherald.settle_{{topic}}(bigint[], pgherald.journal[]) TO pgherald_owner;
