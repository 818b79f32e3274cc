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
  IF NOT pg_catalog.starts_with(current_user, 'pgherald_teller') THEN
    RAISE insufficient_privilege;
  END IF;
  RETURN QUERY
  SELECT j.place, j.txid, j.id, j.at, j.topic,
         {{told_op}},
         {{told_old}},
         {{told_new}},
         CASE WHEN it.one IS NOT NULL
              THEN {{doc}}
              WHEN j.op IN ('i', 'u', 'd', 'I', 'U', 'D') THEN '{"reason":"loss"}'
              WHEN j.op IN ('w', 'v') THEN '{"reason":"rescope"}'
              ELSE j.data END,
         CASE WHEN it.was IS NOT NULL
              THEN {{leave}} END,
         j.pk, CASE WHEN whole THEN b.data END, CASE WHEN whole THEN it.was END
  FROM {{written}}
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
-- With follow = yes each row is looked at: whoever owns it now hears of it, whatever others have done on the
-- way since. Of w rows (see way_{{topic}}_1) nobody but who has lost it, and does not own it, or has won it, and does.
-- `written` is then pgherald.beside(): its rows beyond `places` are those of others, and not told.
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
  IF NOT pg_catalog.starts_with(current_user, 'pgherald_teller') THEN
    RAISE insufficient_privilege;
  END IF;
  RETURN QUERY
  WITH told AS MATERIALIZED (
    SELECT * FROM pgherald.tell_{{topic}}(places, written[:cardinality(places)], true)),
  {{beside}}
  -- '-' is a row that is not there
  often AS (
    SELECT told.txid, told.pk, max(told.id) AS last_id, bool_or(told.op = 'w') AS by_way,
           array_agg(CASE WHEN told.op = 'i' THEN '-' ELSE {{told_before}} END ORDER BY told.id)
             FILTER (WHERE told.op <> 'w') AS befores,
           array_agg(CASE WHEN told.op = 'd' THEN '-' ELSE {{told_after}} END ORDER BY told.id)
             FILTER (WHERE told.op <> 'w') AS afters,
           array_agg(told.own_old::text ORDER BY told.id) FILTER (WHERE told.op <> 'w') AS owners,
           array_agg({{looked_up}} ORDER BY told.id) FILTER (WHERE told.op <> 'w') AS looked_up,
           array_agg(CASE WHEN told.op = 'd' THEN told.data ELSE coalesce(told.past, told.data) END ORDER BY told.id)
             FILTER (WHERE told.op <> 'w') AS images,
           (array_agg(told.data ORDER BY told.id))[1] AS image,
           (array_agg(told.own_new::text ORDER BY told.id DESC))[1] AS last_own,
           (array_agg(told.doc::text ORDER BY told.id DESC))[1] AS last_doc,
           {{next}} AS next,
           {{next_own}} AS next_own,
           {{opened}} AS opened,
           min(told.id) FILTER (WHERE told.op = 'i' OR told.op = 'u' AND told.past IS NOT NULL) AS own_id
    FROM {{stepped}}
    WHERE told.op IN ('i', 'u', 'd', 'w')
    GROUP BY told.txid, told.pk
    HAVING {{often}}),
  settled AS MATERIALIZED (
    SELECT o.txid, o.pk, o.last_id, now.own, say.doc, say.leave, steps.before, steps.once, way.lost, way.won, way.came,
           way.led || known.sure AS sure, known.seen, known.made, beside.users AS heard,
           (NOT o.by_way AND o.befores[2:] = o.afters[:cardinality(o.afters) - 1]
            AND o.afters[cardinality(o.afters)] = f.now
            AND (now.one IS NULL OR o.last_doc = say.doc::text AND o.last_own = now.own::text)
            AND {{alone}} AND way.lost = '{}' AND steps.once <@ (steps.before || now.own)
            AND (NOT known.made AND NOT steps.before && beside.users
                 OR steps.before <@ coalesce(now.own, '{}'))) IS TRUE AS holds,
           CASE WHEN o.befores IS NULL THEN 'o'
                WHEN f.gone AND way.lost = '{}' AND steps.before = '{}' THEN 'x'
                WHEN f.start <> '-' AND now.one IS NOT NULL THEN 'u'
                WHEN f.start <> '-' THEN 'd'
                WHEN now.one IS NOT NULL THEN 'i'
                ELSE 'x' END AS op
    FROM often AS o
    LEFT JOIN LATERAL (
      SELECT {{this_data}}::jsonb AS one,
             {{this_owners}} AS own
      FROM {{table}} AS this
      WHERE {{this_is}}) AS now ON true
    -- Where the steps begin: what one begins with and none ends with; in a circle, where they end. Where the way to
    -- owners is followed that is not what the row is now, if another transaction has changed it since (`next` is what
    -- that one has found); and of a row that is where it was, and gone since, those hear whom the next does not tell.
    CROSS JOIN LATERAL (
      SELECT coalesce(e.first, {{round}}) AS start, e.node AS now, {{gone}} AS gone
      FROM (SELECT CASE WHEN now.one IS NULL THEN '-' ELSE {{now_node}} END AS node,
                   (SELECT n.node
                    FROM (SELECT unnest(o.befores) AS node, 1 AS n
                          UNION ALL SELECT unnest(o.afters), -1) AS n
                    GROUP BY n.node HAVING sum(n.n) > 0 LIMIT 1) AS first
            OFFSET 0) AS e) AS f
    LEFT JOIN LATERAL (
      SELECT u.image FROM unnest(o.befores, o.images) WITH ORDINALITY AS u (node, image, n)
      WHERE u.node = f.start ORDER BY u.n DESC LIMIT 1) AS w ON true
    CROSS JOIN LATERAL (SELECT coalesce(now.one, w.image, o.image) AS one, coalesce(w.image, o.image) AS was
                        OFFSET 0) AS it
    CROSS JOIN LATERAL (SELECT {{doc}} AS doc,
                               {{leave}} AS leave OFFSET 0) AS say
    -- `once` is who owns now what the row was before, however the owners have changed meanwhile. Owners that are
    -- those of now say nothing of who had a row that is gone or elsewhere: who deleted or moved it tells them.
    CROSS JOIN LATERAL (
      SELECT ARRAY(SELECT DISTINCT c.owner
                   FROM unnest(o.befores, o.owners, o.looked_up) AS u (node, own, looked_up)
                   CROSS JOIN LATERAL unnest(u.own::text[]) AS c (owner)
                   WHERE u.node = f.start AND f.start <> '-'
                     AND (NOT f.gone OR o.next = f.start)
                     AND (NOT u.looked_up OR f.start = f.now OR c.owner = ANY (now.own))
                   EXCEPT SELECT unnest(o.next_own::text[]) WHERE f.gone
                   ORDER BY 1) AS before,
             CASE WHEN f.start <> '-' AND NOT f.gone THEN {{once}} ELSE '{}' END AS once OFFSET 0) AS steps
    CROSS JOIN LATERAL (SELECT ARRAY({{heard}}) AS users OFFSET 0) AS beside
    {{lost_and_won}}),
  -- Who owns the row no more is told that it has left him if it was his before the transaction, as far as its steps
  -- say (`sure`). Of whom they say something else (`seen`), and of everybody where it made steps that lead to nobody
  -- knows whom (`made`), nobody knows, nor of who may have had it by what others did beside it (`since`): he is told to
  -- fetch again (`maybe`), and no key of a row that was never his.
  net AS (
    SELECT s.txid, s.pk, s.last_id, s.doc, s.leave, s.op::"char" AS op,
           CASE WHEN m.maybe IS NULL AND w.since = '{}' THEN w.whom
                ELSE ARRAY(SELECT unnest(CASE WHEN s.op = 'u' THEN w.whom || w.since ELSE w.whom END)
                           EXCEPT SELECT unnest(m.maybe) ORDER BY 1) END AS own_old,
           CASE s.op WHEN 'd' THEN CASE WHEN m.maybe IS NULL OR w.since = '{}' THEN w.since
                                        ELSE ARRAY(SELECT unnest(w.since) EXCEPT SELECT unnest(m.maybe) ORDER BY 1) END
                     WHEN 'o' THEN ARRAY(SELECT unnest(s.own) INTERSECT SELECT unnest(s.came) ORDER BY 1)
                     WHEN 'x' THEN '{}'
                     ELSE s.own END AS own_new,
           m.maybe
    FROM settled AS s
    CROSS JOIN LATERAL (
      SELECT CASE WHEN s.op IN ('i', 'x') THEN '{}'
                  WHEN s.op = 'o' THEN ARRAY(SELECT unnest(s.lost) EXCEPT SELECT unnest(s.own) ORDER BY 1)
                  ELSE ARRAY((SELECT unnest(s.before) EXCEPT SELECT unnest(s.won)
                              EXCEPT (SELECT unnest(s.came) INTERSECT SELECT unnest(s.own)))
                             UNION SELECT unnest(s.lost)
                             ORDER BY 1) END AS whom OFFSET 0) AS o
    CROSS JOIN LATERAL (
      SELECT o.whom, CASE WHEN s.op IN ('d', 'u') AND s.once <> '{}'
                          THEN ARRAY(SELECT u.owner FROM unnest(s.once) AS u (owner)
                                     WHERE u.owner = ANY (s.before) OR {{at_once}}
                                     EXCEPT SELECT unnest(o.whom || coalesce(s.own, '{}')) ORDER BY 1)
                          ELSE '{}' END AS since OFFSET 0) AS w
    CROSS JOIN LATERAL (
      SELECT CASE WHEN s.made OR s.seen <> '{}' OR w.since <> '{}' OR s.heard <> '{}'
                  THEN ARRAY(SELECT u.owner FROM unnest(w.whom) AS u (owner)
                             WHERE s.made OR u.owner = ANY (s.seen || s.heard)
                             UNION SELECT unnest(w.since)
                             EXCEPT SELECT unnest(s.sure || coalesce(s.own, '{}'))) END AS maybe
      OFFSET 0) AS m
    WHERE NOT s.holds)
  SELECT told.place, told.txid, told.id, told.at, told.topic, {{settled_op}},
         CASE WHEN so.op = 'x' THEN '{}' WHEN way.op IS NOT NULL THEN way.lost
              WHEN net.txid IS NOT NULL THEN net.own_old ELSE told.own_old END,
         CASE WHEN so.op = 'x' THEN '{}' WHEN way.op IS NOT NULL THEN way.won
              WHEN net.txid IS NOT NULL THEN net.own_new ELSE told.own_new END,
         CASE WHEN so.op = 'x' THEN NULL WHEN way.op IS NOT NULL THEN '{"reason":"rescope"}'
              WHEN net.txid IS NOT NULL THEN net.doc ELSE told.doc END,
         CASE WHEN net.txid IS NULL THEN told.leave WHEN so.op IN ('u', 'd', 'o') THEN net.leave END
  FROM told
  LEFT JOIN net ON net.txid = told.txid AND net.pk = told.pk AND told.op IN ('i', 'u', 'd', 'w')
  {{of_way}}
  CROSS JOIN LATERAL (
    SELECT CASE WHEN way.op IS NOT NULL THEN way.op
                WHEN net.txid IS NULL THEN told.op
                WHEN told.id <> net.last_id OR net.op = 'o' AND net.own_old = '{}' AND net.own_new = '{}' THEN 'x'
                ELSE net.op END AS op) AS so
  ORDER BY 1, 3;
END
$pgherald$;
REVOKE ALL ON FUNCTION pgherald.tell_{{topic}}(bigint[], pgherald.journal[], boolean),
  pgherald.settle_{{topic}}(bigint[], pgherald.journal[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgherald.tell_{{topic}}(bigint[], pgherald.journal[], boolean),
  pgherald.settle_{{topic}}(bigint[], pgherald.journal[]) TO pgherald_owner;
