--# The end: what is left of us in this database. See core.sql for {{names}}.
-- pgherald {{version}}: drop the schema pgherald, revoke every grant, drop the roles
-- Locks: ACCESS EXCLUSIVE on pgherald's own tables, on those of tokens, users and groups, and on
-- tables that were watched but are no longer in the configuration.
{{begin}}

-- The sessions that a daemon still has: silence.sql has seen to it that it makes no new ones to ask here. A role
-- that we have made has no others; where it was there before us, the daemon's are known by their name.
DO $pgherald$
BEGIN
  IF to_regnamespace('pgherald') IS NULL THEN
    RETURN;
  END IF;
  FOR i IN 1..200 LOOP
    PERFORM pg_stat_clear_snapshot();
    PERFORM pg_terminate_backend(a.pid)
    FROM pg_stat_activity AS a
    JOIN pg_roles AS r ON r.oid = a.usesysid
    WHERE a.datname = current_database() AND r.rolname = {{login_literal}} AND a.pid <> pg_backend_pid()
      AND (a.application_name = 'pgherald' OR shobj_description(r.oid, 'pg_authid') = 'made by pgherald sql install');
    IF NOT FOUND THEN
      RETURN;
    END IF;
    PERFORM pg_sleep(0.01);
  END LOOP;
  RAISE WARNING 'sessions of % do not end', {{login_literal}};
EXCEPTION WHEN insufficient_privilege THEN
  RAISE WARNING 'the sessions of the daemon cannot be ended: stop it, or it may ask in another schema pgherald (%)',
    SQLERRM;
END
$pgherald$;

DO $pgherald$
DECLARE
  r record;
  connected text;
BEGIN
  IF to_regnamespace('pgherald') IS NOT NULL THEN
    IF EXISTS (SELECT FROM pg_attribute AS a
               WHERE a.attrelid = to_regclass('pgherald.meta') AND a.attname = 'connected') THEN
      EXECUTE 'SELECT m.connected FROM pgherald.meta AS m' INTO connected;
    END IF;
    FOR r IN SELECT t.tgname AS name, t.tgrelid::regclass AS watched
             FROM pg_trigger AS t
             JOIN pg_proc AS p ON p.oid = t.tgfoid
             WHERE p.pronamespace = 'pgherald'::regnamespace AND NOT t.tgisinternal
    LOOP
      EXECUTE format('DROP TRIGGER IF EXISTS %I ON %s', r.name, r.watched);
    END LOOP;
    FOR r IN SELECT p.oid::regprocedure AS name
             FROM pg_proc AS p
             WHERE p.pronamespace = 'pgherald'::regnamespace
               AND NOT EXISTS (SELECT FROM pg_depend AS d  -- an extension's own
                               WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
                                 AND d.deptype = 'e')
    LOOP
      EXECUTE format('DROP FUNCTION %s', r.name);
    END LOOP;
    DROP EXTENSION IF EXISTS pgherald;
    -- Without CASCADE: the server names whatever somebody else has built upon these.
    DROP TABLE IF EXISTS pgherald.journal, pgherald.meta, pgherald.kept, pgherald.ticket;
    DROP SEQUENCE IF EXISTS pgherald.loss, pgherald.gate;
    DROP SCHEMA IF EXISTS pgherald;
  END IF;
  IF to_regrole(quote_ident(connected)) IS NOT NULL THEN
    EXECUTE format('REVOKE CONNECT ON DATABASE %I FROM %I', current_database(), connected);
  END IF;
END
$pgherald$;

-- What the roles were granted here; pgherald_reader is of version 2.
DO $pgherald$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY[{{owner_literals}}, 'pgherald_authorize', 'pgherald_reader'] || ARRAY(
      SELECT r.rolname::text FROM pg_roles AS r
      WHERE r.rolname ~ '^pgherald_teller_' AND NOT r.rolsuper
        AND shobj_description(r.oid, 'pg_authid') = 'made by pgherald sql install') LOOP
    IF to_regrole(name) IS NOT NULL AND pg_has_role(current_user, name, 'USAGE') THEN
      EXECUTE format('DROP OWNED BY %I', name);
    END IF;
  END LOOP;
END
$pgherald$;

-- Roles belong to the whole cluster: one that another database still uses stays, and those that were there
-- before us stay always. So do all of them when whoever runs this may not drop roles.
DO $pgherald$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY[{{login_literal}}, 'pgherald_reader', 'pgherald_authorize', {{owner_literals}}] || ARRAY(
      SELECT r.rolname::text FROM pg_roles AS r WHERE r.rolname ~ '^pgherald_teller_' AND NOT r.rolsuper) LOOP
    IF EXISTS (SELECT FROM pg_roles AS r
               WHERE r.rolname = name
                 AND shobj_description(r.oid, 'pg_authid') = 'made by pgherald sql install') THEN
      BEGIN
        EXECUTE format('DROP ROLE %I', name);
      EXCEPTION WHEN dependent_objects_still_exist OR insufficient_privilege THEN
        NULL;
      END;
    END IF;
  END LOOP;
END
$pgherald$;
COMMIT;
