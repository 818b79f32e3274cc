--# How every piece begins: with nothing of the application's in reach. See core.sql for {{names}}.
BEGIN;
-- Whoever runs this may be a superuser, and a role of the application may own this database: operators,
-- functions and types are those of PostgreSQL, whatever the database's settings say.
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL default_tablespace = '';
SET LOCAL lock_timeout = '2s';
SET LOCAL client_min_messages = warning;
DO $pgherald$
DECLARE
  trap record;
BEGIN
  -- Event triggers run as whoever makes something.
  SELECT e.evtname AS name, p.oid::regprocedure AS function, p.proowner::regrole AS owner INTO trap
  FROM pg_event_trigger AS e
  JOIN pg_proc AS p ON p.oid = e.evtfoid
  JOIN pg_roles AS r ON r.oid = p.proowner
  WHERE e.evtenabled IN ('O', 'A') AND NOT r.rolsuper AND r.rolname NOT IN (session_user, current_user)
  LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'event trigger % calls %, a function of %, which would run with the rights of %',
      trap.name, trap.function, trap.owner, session_user
      USING HINT = format('ALTER EVENT TRIGGER %I DISABLE for this while, or give its function to a superuser.',
                          trap.name);
  END IF;

  -- What is used below by the name of our schema must be ours, and do nothing else besides.
  SELECT pg_describe_object(o.class, o.id, 0) AS what, o.owner::regrole AS owner INTO trap
  FROM (SELECT 'pg_namespace'::regclass AS class, n.oid AS id, n.nspowner AS owner
        FROM pg_namespace AS n WHERE n.nspname = 'pgherald'
        UNION ALL
        SELECT 'pg_class'::regclass, r.oid, r.relowner
        FROM pg_class AS r WHERE r.relnamespace = to_regnamespace('pgherald')
        UNION ALL
        SELECT 'pg_proc'::regclass, p.oid, p.proowner
        FROM pg_proc AS p WHERE p.pronamespace = to_regnamespace('pgherald')
        UNION ALL
        SELECT 'pg_type'::regclass, t.oid, t.typowner
        FROM pg_type AS t WHERE t.typnamespace = to_regnamespace('pgherald')) AS o
  JOIN pg_roles AS r ON r.oid = o.owner
  WHERE r.rolname NOT IN ({{owner_literals}}) AND NOT r.rolsuper
    AND NOT (o.class = 'pg_proc'::regclass  -- see the pieces of watches, and of routes with authorize
             AND (r.rolname ~ '^pgherald_teller_' OR r.rolname = 'pgherald_authorize'))
  LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION '% belongs to somebody else: %', trap.what, trap.owner;
  END IF;
  SELECT r.oid::regclass AS name, o.what INTO trap
  FROM pg_class AS r
  CROSS JOIN LATERAL (
    SELECT 'the trigger ' || t.tgname AS what
    FROM pg_trigger AS t
    JOIN pg_proc AS p ON p.oid = t.tgfoid
    JOIN pg_roles AS u ON u.oid = p.proowner
    WHERE t.tgrelid = r.oid AND NOT t.tgisinternal AND NOT u.rolsuper
    UNION ALL
    SELECT 'the rule ' || w.rulename
    FROM pg_rewrite AS w WHERE w.ev_class = r.oid
    UNION ALL
    SELECT 'row level security' WHERE r.relrowsecurity
    UNION ALL
    -- What is planned, computed or cast when whoever runs this reads the table: a member of pgherald_owner could
    -- have put it there. sql/check/schema.sql has the same.
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
  WHERE r.oid IN (to_regclass('pgherald.journal'), to_regclass('pgherald.meta'),
                  to_regclass('pgherald.loss'), to_regclass('pgherald.gate'),
                  to_regclass('pgherald.kept'), to_regclass('pgherald.ticket'))
  LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION '% has %, which is not of pgherald', trap.name, trap.what;
  END IF;
END
$pgherald$;
