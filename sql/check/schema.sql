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

--! object-code danger stop
--! Reading this table would run somebody's code with the rights of whoever reads, a superuser's for one, and it is not
--! read from here on. Only who owns the table, or is a member of pgherald_owner, can have put it there.
SELECT r.oid::regclass, 'it has ' || o.what, NULL
FROM pg_class AS r
CROSS JOIN LATERAL (
    SELECT 'the rule ' || w.rulename AS what
    FROM pg_rewrite AS w WHERE w.ev_class = r.oid AND r.relkind = 'r'
    UNION ALL
    SELECT 'row level security' WHERE r.relrowsecurity
    UNION ALL
    SELECT 'the column ' || a.attname || ' of type ' || a.atttypid::regtype
    FROM pg_attribute AS a
    WHERE a.attrelid = r.oid AND NOT a.attisdropped AND a.atttypid >= 16384
    UNION ALL
    SELECT 'a child, ' || i.inhrelid::regclass
    FROM pg_inherits AS i WHERE i.inhparent = r.oid
    UNION ALL
    SELECT pg_describe_object(d.classid, d.objid, d.objsubid) || ' with ' || p.oid::regprocedure
    FROM (SELECT 'pg_class'::regclass AS class, i.indexrelid AS oid FROM pg_index AS i WHERE i.indrelid = r.oid
          UNION ALL
          SELECT 'pg_constraint'::regclass, k.oid FROM pg_constraint AS k WHERE k.conrelid = r.oid
          UNION ALL
          SELECT 'pg_attrdef'::regclass, v.oid FROM pg_attrdef AS v WHERE v.adrelid = r.oid
          UNION ALL
          SELECT 'pg_statistic_ext'::regclass, s.oid FROM pg_statistic_ext AS s WHERE s.stxrelid = r.oid) AS part
    JOIN pg_depend AS d ON d.classid = part.class AND d.objid = part.oid
    LEFT JOIN pg_operator AS o ON d.refclassid = 'pg_operator'::regclass AND o.oid = d.refobjid
    JOIN pg_proc AS p ON p.oid = CASE d.refclassid WHEN 'pg_proc'::regclass THEN d.refobjid ELSE o.oprcode END
    JOIN pg_roles AS u ON u.oid = p.proowner
    WHERE NOT u.rolsuper) AS o
WHERE r.oid IN (to_regclass('pgherald.journal'), to_regclass('pgherald.meta'), to_regclass('pgherald.loss'),
                to_regclass('pgherald.gate'), to_regclass('pgherald.kept'), to_regclass('pgherald.ticket'))

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
