--# What a table must be before it is watched. See core.sql for {{names}}; sql/check/tables.sql finds the
--# same when it comes to be later. It looks at the catalog alone.
-- Every configured column must be there now. (Later a vanished one reads as null.) The catalog is asked,
-- and not the table: it may be a view, whose functions would run.
DO $pgherald$
DECLARE
  watched CONSTANT regclass := {{table_literal}};
  missing text;
BEGIN
  IF (SELECT r.relkind FROM pg_class AS r WHERE r.oid = watched) NOT IN ('r', 'p') THEN
    RAISE EXCEPTION 'watch {{topic}}: % is a %, and only tables have triggers that see rows', watched,
      (SELECT CASE r.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
                             WHEN 'f' THEN 'foreign table' ELSE 'relation of another kind' END
       FROM pg_class AS r WHERE r.oid = watched);
  END IF;

  SELECT string_agg(quote_ident(c.name), ', ') INTO missing
  FROM unnest({{columns}}) AS c (name)
  WHERE NOT EXISTS (SELECT FROM pg_attribute AS a
                    WHERE a.attrelid = watched AND a.attname = c.name AND a.attnum > 0
                      AND NOT a.attisdropped);
  IF missing IS NOT NULL THEN
    RAISE EXCEPTION 'watch {{topic}}: % has no column %', watched, missing;
  END IF;

  IF NOT EXISTS (SELECT FROM pg_index AS i
                 WHERE i.indrelid = watched AND i.indisunique AND i.indpred IS NULL
                   AND ARRAY(SELECT a.attname::text FROM pg_attribute AS a
                             WHERE a.attrelid = i.indrelid
                               AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]))
                       <@ {{key_array}}
                   AND 0 <> ALL (i.indkey::int2[])) THEN
    RAISE EXCEPTION 'watch {{topic}}: no unique index says that key identifies a row of %', watched;
  END IF;
END
$pgherald$;

{{parts}}

DO $pgherald$
DECLARE
  found text;
BEGIN
  -- Each change would end as "fetch again".
  WITH RECURSIVE time AS (
    SELECT c.att, t.oid, t.typbasetype
    FROM (VALUES
            {{utc_columns}}
            (NULL, NULL, NULL, NULL)) AS c (nsp, rel, att, spelled)
    JOIN pg_catalog.pg_namespace AS n ON n.nspname = c.nsp
    JOIN pg_catalog.pg_class AS r ON r.relnamespace = n.oid AND r.relname = c.rel
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = r.oid AND a.attname = c.att
    JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
    UNION ALL
    SELECT time.att, t.oid, t.typbasetype
    FROM time
    JOIN pg_catalog.pg_type AS t ON t.oid = time.typbasetype)
  SELECT pg_catalog.string_agg(DISTINCT pg_catalog.quote_ident(time.att), ', ') INTO found
  FROM time
  WHERE time.typbasetype = 0
    AND time.oid <> ALL ('{timestamptz,timestamp,date}'::pg_catalog.regtype[]);
  IF found IS NOT NULL THEN
    RAISE EXCEPTION 'watch {{topic}}: ::utc is for times, and % is none', found;
  END IF;
END
$pgherald$;
