--# What `pgherald sql roles` prints. See core.sql for {{names}}.
-- pgherald {{version}}: the roles, and leave for {{installer_comment}} to install once
-- For an administrator: a superuser, or a role that may make roles and schemas. One statement, to be run in the
-- database that is to be watched. {{installer_comment}} can then run a migration with what
-- `pgherald sql render --migration` prints, which ends by giving the leave back.
-- Locks: none.
DO $pgherald$
DECLARE  -- read while the search_path is whatever the owner of the database has made it
  name pg_catalog.text;
  trap pg_catalog.record;
BEGIN
  PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
  -- Event triggers run as whoever makes something.
  SELECT e.evtname AS name, p.oid::regprocedure AS function, p.proowner::regrole AS owner INTO trap
  FROM pg_event_trigger AS e
  JOIN pg_proc AS p ON p.oid = e.evtfoid
  JOIN pg_roles AS r ON r.oid = p.proowner
  WHERE e.evtenabled IN ('O', 'A') AND NOT r.rolsuper AND r.rolname NOT IN (session_user, current_user)
  LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'event trigger % calls %, a function of %, which would run with the rights of %',
      trap.name, trap.function, trap.owner, session_user;
  END IF;
  FOREACH name IN ARRAY ARRAY[{{owner_literals}}{{authorize_literal}}] LOOP
    IF to_regrole(name) IS NULL THEN
      EXECUTE format('CREATE ROLE %I NOLOGIN', name);
    ELSIF EXISTS (SELECT FROM pg_roles AS r WHERE r.rolname = name AND (r.rolsuper OR r.rolcanlogin)) THEN
      RAISE EXCEPTION 'role % is there already, and is a superuser or can log in', name;
    END IF;
    IF NOT pg_has_role(current_user, name, 'USAGE') THEN
      EXECUTE format('GRANT %I TO CURRENT_USER', name);
    END IF;
    EXECUTE format('GRANT %I TO %I', name, {{installer_literal}});
  END LOOP;
  IF NOT EXISTS (SELECT FROM pg_roles AS r WHERE r.rolname = {{login_literal}}) THEN
    CREATE ROLE {{login}} LOGIN;
  END IF;
  IF to_regnamespace('pgherald') IS NULL THEN
    CREATE SCHEMA pgherald AUTHORIZATION pgherald_owner;
  END IF;

  -- A member can leave no role by himself. This does it for him, with the rights of whoever runs this
  -- statement; it stands in a schema of its own, which goes with it.
  DROP SCHEMA IF EXISTS pgherald_lent CASCADE;
  CREATE SCHEMA pgherald_lent;
  CREATE FUNCTION pgherald_lent.give_back() RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
  AS $give_back$
  BEGIN
    REVOKE {{owner_names}}{{authorize_name}} FROM {{installer}};
    DROP SCHEMA pgherald_lent CASCADE;
  END
  $give_back$;
  REVOKE ALL ON FUNCTION pgherald_lent.give_back() FROM PUBLIC;
  GRANT USAGE ON SCHEMA pgherald_lent TO {{installer}};
  GRANT EXECUTE ON FUNCTION pgherald_lent.give_back() TO {{installer}};
END
$pgherald$;
