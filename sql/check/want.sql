--# In front of every check: what the configuration would install, out of the parameter.
WITH conf AS MATERIALIZED (
  SELECT $1::jsonb AS c),
want_function AS (
  SELECT f.*, to_regprocedure(f.signature) AS oid
  FROM conf, jsonb_to_recordset(c->'functions')
    AS f (signature text, body text, definer boolean, settings text, owner text, volatility "char")),
want_trigger AS (
  SELECT t.*, to_regclass(t.rel) AS relid
  FROM conf, jsonb_to_recordset(c->'triggers') AS t (name text, rel text, def text)),
want_right AS (
  SELECT r.*
  FROM conf, jsonb_to_recordset(c->'rights')
    AS r (role text, kind text, privilege text, object text, col text)),
watch AS (
  SELECT w.*, to_regclass(w.rel) AS oid, to_regprocedure('pgherald.on_' || w.topic || '()') AS fn
  FROM conf, jsonb_to_recordset(c->'watches')
    AS w (topic text, rel text, key text[], columns text[], text_columns jsonb,
          utc_columns jsonb, looks text[], follow boolean, ways jsonb, owners text[], rescope text[])),
-- tables on the way to owners, and the columns that lead back
way AS (
  SELECT w.topic, w.follow, y.*
  FROM watch AS w
  CROSS JOIN LATERAL jsonb_to_recordset(w.ways)
    AS y (rel text, key text, value text, back_rel text, back text)),
-- what the function of a watch pins when the text of a column depends on it (sql/settings.sql)
pinned AS (
  SELECT '{timezone=utc,"datestyle=iso, ymd",intervalstyle=iso_8601,bytea_output=hex,
           extra_float_digits=1}'::text[] AS settings),
-- tables that the functions read; `looks` those where names, owners, tokens or users are looked up
joined AS (
  SELECT DISTINCT r.role, r.object AS rel, CASE r.kind WHEN 'column' THEN to_regclass(r.object) END AS oid,
         r.role <> 'pgherald_teller' OR EXISTS (SELECT FROM watch AS w WHERE r.object = ANY (w.looks)) AS looks
  FROM want_right AS r WHERE r.kind = 'column'),
-- who owns watched tables; `reads` whether he may read all that the journal has anything of (sql/dump.sql)
dumper AS (
  SELECT u.oid, u.rolname,
         NOT EXISTS (SELECT FROM watch AS other
                     WHERE other.oid IS NOT NULL AND NOT has_table_privilege(u.oid, other.oid, 'SELECT'))
         AND NOT EXISTS (SELECT FROM pg_attribute AS a
                         CROSS JOIN LATERAL aclexplode(a.attacl) AS acl
                         WHERE acl.grantee = to_regrole('pgherald_teller')
                           AND NOT has_column_privilege(u.oid, a.attrelid, a.attnum, 'SELECT')) AS reads
  FROM pg_roles AS u
  WHERE NOT u.rolsuper
    AND EXISTS (SELECT FROM watch AS w JOIN pg_class AS r ON r.oid = w.oid WHERE r.relowner = u.oid))
