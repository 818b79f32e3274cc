--# What of a watch with capture = journal clients are told. See core.sql for {{names}}.
-- The documents of these transactions, names as they are now. A row that was written for another list
-- of columns says "fetch again".
CREATE OR REPLACE FUNCTION pgherald.tell_{{topic}}(txids bigint[])
RETURNS TABLE (txid bigint, id bigint, at timestamptz, topic text, op "char", own_old text[], own_new text[],
               doc json, leave json)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'                      -- the document must not depend on the session
SET datestyle = 'ISO, YMD'
SET intervalstyle = 'iso_8601'
SET bytea_output = 'hex'
SET extra_float_digits = 1
SET enable_seqscan = off                  -- names by index, however small the table is today
SET jit = off
AS $pgherald$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  SELECT j.txid, j.id, j.at, j.topic,
         CASE WHEN it.one IS NULL AND j.op IN ('i', 'u', 'd') THEN 'r' ELSE j.op END,
         CASE WHEN j.op = 'u' AND j.past IS NULL THEN j.own_new ELSE j.own_old END, j.own_new,
         CASE WHEN it.one IS NOT NULL
              THEN {{doc}}
              WHEN j.op IN ('i', 'u', 'd') THEN '{"reason":"loss"}'
              ELSE j.data END,
         CASE WHEN it.was IS NOT NULL
              THEN {{leave}} END
  FROM pgherald.journal AS j
  CROSS JOIN LATERAL (
    SELECT CASE WHEN j.data->>0 = '{{mark}}' THEN j.data::jsonb END AS one,
           CASE WHEN j.past->>0 = '{{mark}}' THEN j.past::jsonb END AS was
    OFFSET 0) AS it
  WHERE j.txid = ANY (txids) AND j.topic = '{{topic}}';
END
$pgherald$;
REVOKE ALL ON FUNCTION pgherald.tell_{{topic}}(bigint[]) FROM PUBLIC;
