--# In front of every check: what the configuration would install, out of the parameter.
WITH RECURSIVE conf AS MATERIALIZED (
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
          utc_columns jsonb, looks text[], follow boolean, ways jsonb, owners text[], rescope text[], notify boolean)),
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
-- the roles that read to tell of watches: pgherald_teller, and where tables are not one role's others (sql/teller.sql)
teller AS (
  SELECT u.oid, u.rolname
  FROM pg_roles AS u
  WHERE u.rolname = 'pgherald_teller'
     OR u.rolname ~ '^pgherald_teller_'
        AND EXISTS (SELECT FROM pg_proc AS p
                    WHERE p.proowner = u.oid AND p.pronamespace = to_regnamespace('pgherald'))),
-- the tables that are read for each watch, with their parts; `looks` as below
read AS (
  SELECT w.topic, c.oid, c.oid AS part, c.looks
  FROM watch AS w
  CROSS JOIN LATERAL (SELECT w.oid, false AS looks UNION ALL
                      SELECT to_regclass(l.rel), true FROM unnest(w.looks) AS l (rel)) AS c
  WHERE c.oid IS NOT NULL AND (c.looks OR NOT w.notify)
  UNION
  SELECT read.topic, read.oid, i.inhrelid, read.looks
  FROM read JOIN pg_inherits AS i ON i.inhparent = read.part),
-- who tells of each, and whose these tables are, but for superusers
told AS (
  SELECT p.proowner AS teller, w.topic,
         (SELECT coalesce(string_agg(DISTINCT u.rolname::text, ', '), '')
          FROM read JOIN pg_class AS c ON c.oid = read.part JOIN pg_roles AS u ON u.oid = c.relowner
          WHERE read.topic = w.topic AND NOT u.rolsuper) AS owners
  FROM watch AS w
  JOIN pg_proc AS p ON p.pronamespace = to_regnamespace('pgherald')
   AND (p.proname IN ('tell_' || w.topic, 'settle_' || w.topic, 'names_' || w.topic, 'owners_' || w.topic)
        OR p.proname ~ ('^seek_' || w.topic || '_[0-9]+$'))
  GROUP BY p.proowner, w.topic),
-- what is looked up while a table is written to: the function, and who is not who could run code there anyway
lookup AS (
  SELECT f.signature, f.oid, w.topic, w.rel, w.notify,
         (SELECT string_agg(DISTINCT c.relowner::regrole::text, ', ')
          FROM read
          JOIN pg_class AS c ON c.oid = read.part
          JOIN pg_class AS written ON written.oid = t.oid
          WHERE read.topic = w.topic AND read.oid <> t.oid
            AND NOT pg_has_role(c.relowner, written.relowner, 'USAGE')) AS others
  FROM watch AS w
  JOIN want_function AS f
    ON f.signature ~ ('^pgherald\.(names|owners)_' || w.topic || '\(')
       OR f.signature ~ ('^pgherald\.seek_' || w.topic || '_[0-9]+\(')
  CROSS JOIN LATERAL (
    SELECT CASE WHEN f.signature ~ '^pgherald\.seek_' THEN (
      SELECT h.relid FROM want_trigger AS h
      WHERE h.name = 'zz_pgherald_way_' || substring(f.signature FROM '^pgherald\.seek_([^(]*)') || '_i')
      ELSE w.oid END AS oid) AS t),
-- what routes ask of the application
asked AS (
  SELECT r.*, to_regprocedure(r.signature) AS oid
  FROM conf, jsonb_to_recordset(c->'asked') AS r (route text, signature text)),
-- what pgherald_auth reads
auth_part AS (
  SELECT CASE r.kind WHEN 'column' THEN to_regclass(r.object)::oid END AS oid
  FROM want_right AS r WHERE r.kind = 'column' AND r.role = 'pgherald_auth'
  UNION
  SELECT i.inhrelid FROM auth_part JOIN pg_inherits AS i ON i.inhparent = auth_part.oid),
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
                         WHERE acl.grantee IN (SELECT t.oid FROM teller AS t)
                           AND NOT has_column_privilege(u.oid, a.attrelid, a.attnum, 'SELECT')) AS reads
  FROM pg_roles AS u
  WHERE NOT u.rolsuper
    AND EXISTS (SELECT FROM watch AS w JOIN pg_class AS r ON r.oid = w.oid WHERE r.relowner = u.oid))
