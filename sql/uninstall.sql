--# The end: what is left of us in this database. See core.sql for {{names}}.
-- pgherald {{version}}: drop the schema pgherald, revoke every grant, drop the roles
-- Locks: ACCESS EXCLUSIVE on pgherald's own tables, on those of tokens, users and groups, and on
-- tables that were watched but are no longer in the configuration.
{{begin}}

DO $pgherald$
DECLARE
  r record;
BEGIN
  IF EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'pgherald') THEN
    FOR r IN SELECT t.tgname AS name, t.tgrelid::pg_catalog.regclass AS watched
             FROM pg_catalog.pg_trigger AS t
             JOIN pg_catalog.pg_proc AS p ON p.oid = t.tgfoid
             WHERE p.pronamespace = 'pgherald'::pg_catalog.regnamespace AND NOT t.tgisinternal
    LOOP
      EXECUTE pg_catalog.format('DROP TRIGGER IF EXISTS %I ON %s', r.name, r.watched);
    END LOOP;
    FOR r IN SELECT p.oid::pg_catalog.regprocedure AS name
             FROM pg_catalog.pg_proc AS p
             WHERE p.pronamespace = 'pgherald'::pg_catalog.regnamespace
               AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d  -- an extension's own
                               WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass
                                 AND d.objid = p.oid AND d.deptype = 'e')
    LOOP
      EXECUTE pg_catalog.format('DROP FUNCTION %s', r.name);
    END LOOP;
    DROP EXTENSION IF EXISTS pgherald;
    -- Without CASCADE: the server names whatever somebody else has built upon these.
    DROP TABLE IF EXISTS pgherald.journal, pgherald.meta;
    DROP SEQUENCE IF EXISTS pgherald.loss, pgherald.gate;
    DROP SCHEMA IF EXISTS pgherald;
  END IF;
END
$pgherald$;

-- What the roles were granted here.
DO $pgherald$
DECLARE
  role_name text;
BEGIN
  FOREACH role_name IN ARRAY ARRAY['pgherald_owner', 'pgherald_reader'] LOOP
    IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = role_name) THEN
      EXECUTE pg_catalog.format('DROP OWNED BY %I', role_name);
    END IF;
  END LOOP;
END
$pgherald$;

-- Roles belong to the whole cluster: all of them stay while another database still uses one, and
-- those that were there before us stay always.
DO $pgherald$
DECLARE
  role_name text;
BEGIN
  FOREACH role_name IN ARRAY ARRAY['pgherald_owner', 'pgherald_reader', {{login_literal}}] LOOP
    IF EXISTS (SELECT FROM pg_catalog.pg_roles
               WHERE rolname = role_name
                 AND pg_catalog.shobj_description(oid, 'pg_authid') = 'made by pgherald sql install')
    THEN
      EXECUTE pg_catalog.format('DROP ROLE %I', role_name);
    END IF;
  END LOOP;
EXCEPTION
  WHEN dependent_objects_still_exist THEN
    NULL;
END
$pgherald$;
COMMIT;
