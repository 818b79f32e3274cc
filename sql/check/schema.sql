--# Is it there at all, and of our version?
--! standby warning stop
--! This is a standby. It has no triggers to fire and cannot LISTEN; the daemon and this check
--! belong to the primary.
SELECT current_database(), 'the server is in recovery', NULL
WHERE pg_is_in_recovery()

--! schema-missing danger stop
--! Nothing of pgherald is in this database, so nothing is recorded.
SELECT 'schema pgherald', 'there is no schema pgherald in database ' || current_database(),
       'pgherald sql install --apply'
WHERE to_regnamespace('pgherald') IS NULL

--! object-owner danger stop
--! Whoever owns an object may change and read it, and put a trap there for whoever reads it next, of
--! which nothing is read from here on. The owner must be pgherald_owner, as whom nobody can log in.
SELECT o.name, 'it belongs to ' || o.owner::regrole,
       format('ALTER %s %s OWNER TO pgherald_owner;', o.kind, o.name)
FROM (SELECT 'SCHEMA' AS kind, 'pgherald' AS name, n.nspowner AS owner
      FROM pg_namespace AS n WHERE n.nspname = 'pgherald'
      UNION ALL
      SELECT CASE r.relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END,
             r.oid::regclass::text, r.relowner
      FROM pg_class AS r
      WHERE r.relnamespace = to_regnamespace('pgherald') AND r.relkind IN ('r', 'S', 'v', 'p')
        AND NOT EXISTS (SELECT FROM pg_depend AS d  -- an identity column's own
                        WHERE d.classid = 'pg_class'::regclass AND d.objid = r.oid
                          AND d.deptype = 'i')) AS o
WHERE o.owner IS DISTINCT FROM to_regrole('pgherald_owner')

--! object-kind danger stop
--! What should be a table of pgherald is something else, such as a view: reading it would run somebody's
--! code, and it is not read from here on.
SELECT r.oid::regclass, 'it is no ' || CASE o.kind WHEN 'S' THEN 'sequence' ELSE 'table' END, NULL
FROM unnest('{pgherald.journal,pgherald.meta,pgherald.loss,pgherald.gate}'::text[],
            '{r,r,S,S}'::text[]) AS o (name, kind)
JOIN pg_class AS r ON r.oid = to_regclass(o.name)
WHERE r.relkind::text <> o.kind

--! object-missing danger stop
--! The triggers cannot record anything; the application's statements still succeed, and clients
--! are not told what they miss.
SELECT o.name, 'it does not exist', 'pgherald sql install --apply'
FROM unnest('{pgherald.journal,pgherald.meta,pgherald.loss,pgherald.gate}'::text[]) AS o (name)
WHERE to_regclass(o.name) IS NULL

--! meta-rows danger stop
--! pgherald.meta holds one row: version, epoch and floor. Without it no position can be handed out.
SELECT 'pgherald.meta', 'it is empty', 'pgherald sql install --apply'
WHERE NOT EXISTS (SELECT FROM pgherald.meta)

--! schema-newer danger stop
--! The schema was installed by a newer program. This one may misread it: use that version's.
SELECT 'pgherald.meta', format('schema version %s, this program knows %s',
                               m.schema_version, c->>'schema_version'), NULL
FROM conf, pgherald.meta AS m
WHERE m.schema_version > (c->>'schema_version')::int

--! schema-older danger stop
--! The schema was installed by an older program, and this one expects more of it.
SELECT 'pgherald.meta', format('schema version %s, this program makes %s',
                               m.schema_version, c->>'schema_version'),
       'pgherald sql install --apply'
FROM conf, pgherald.meta AS m
WHERE m.schema_version < (c->>'schema_version')::int
