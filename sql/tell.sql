--# What of a watch with capture = journal clients are told. See core.sql for {{names}}.
-- The documents of these transactions, names as they are now. A row that was written for another list
-- of columns says "fetch again". For pgherald.tell(), which has the settings; kept such that PostgreSQL
-- inlines it there: planned once in a session.
CREATE OR REPLACE FUNCTION pgherald.tell_{{topic}}(txids bigint[])
RETURNS TABLE (place bigint, txid bigint, id bigint, at timestamptz, topic text, op "char", own_old text[],
               own_new text[], doc json, leave json)
LANGUAGE sql STABLE
AS $pgherald$
  SELECT page.place, j.txid, j.id, j.at, j.topic,
         CASE WHEN it.one IS NULL AND j.op IN ('i', 'u', 'd') THEN 'r' ELSE j.op END,
         CASE WHEN j.op = 'u' AND j.past IS NULL THEN j.own_new ELSE j.own_old END, j.own_new,
         CASE WHEN it.one IS NOT NULL
              THEN {{doc}}
              WHEN j.op IN ('i', 'u', 'd') THEN '{"reason":"loss"}'
              ELSE j.data END,
         CASE WHEN it.was IS NOT NULL
              THEN {{leave}} END
  FROM unnest(txids) WITH ORDINALITY AS page(txid, place)
  JOIN pgherald.journal AS j ON j.txid = page.txid
  CROSS JOIN LATERAL (SELECT j.data::jsonb AS data, j.past::jsonb AS past OFFSET 0) AS b
  CROSS JOIN LATERAL (SELECT CASE WHEN b.data->>0 = '{{mark}}' THEN b.data END AS one,
                             CASE WHEN b.past->>0 = '{{mark}}' THEN b.past END AS was
                      OFFSET 0) AS it
  WHERE j.topic = '{{topic}}'
$pgherald$;
REVOKE ALL ON FUNCTION pgherald.tell_{{topic}}(bigint[]) FROM PUBLIC;
