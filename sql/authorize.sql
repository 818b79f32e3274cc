--# One [route] with authorize: what its function says of who wants to hear what. See core.sql for {{names}}.
-- pgherald {{version}}: route {{name_comment}}, whether somebody may hear a channel
-- Locks: none on tables of the application.
{{begin}}

-- A function of the application runs with rights of its own and with those of nobody here: the role that asks it
-- has nothing but that, and owns nothing but the questions.
DO $pgherald$
BEGIN
  IF to_regrole('pgherald_authorize') IS NULL THEN
    BEGIN
      CREATE ROLE pgherald_authorize NOLOGIN;
    EXCEPTION WHEN insufficient_privilege THEN
      RAISE EXCEPTION 'route {{name}}: % may make no role that asks its function', current_user
        USING ERRCODE = 'insufficient_privilege',
              HINT = 'Let a superuser install, or a role that may make roles; or let one run what '
                     '"pgherald sql roles" prints.';
    END;
    COMMENT ON ROLE pgherald_authorize IS 'made by pgherald sql install';
  ELSIF EXISTS (SELECT FROM pg_roles AS r
                WHERE r.rolname = 'pgherald_authorize' AND (r.rolsuper OR r.rolcanlogin OR r.rolbypassrls))
        OR EXISTS (SELECT FROM pg_auth_members AS m WHERE m.member = to_regrole('pgherald_authorize')) THEN
    RAISE EXCEPTION 'role pgherald_authorize is there already, and may do more than it should'
      USING HINT = 'ALTER ROLE pgherald_authorize NOSUPERUSER NOLOGIN NOBYPASSRLS; and it is a member of no role.';
  END IF;
  IF NOT pg_has_role(current_user, 'pgherald_authorize', 'USAGE') THEN
    GRANT pgherald_authorize TO CURRENT_USER;
  END IF;
END
$pgherald$;

-- What is asked, by the catalog alone; sql/check/authorize.sql finds the same when it comes to be later.
DO $pgherald$
DECLARE
  asked   CONSTANT regprocedure := to_regprocedure({{asked_literal}});
  trusted oid[];
  other   text;
BEGIN
  IF asked IS NULL THEN
    RAISE EXCEPTION 'route {{name}}: there is no function %', {{asked_literal}}
      USING HINT = 'It says whether a user of that id and role may hear a channel, and returns a boolean.';
  END IF;
  IF EXISTS (SELECT FROM pg_proc AS p
             WHERE p.oid = asked AND (p.prorettype <> 'boolean'::regtype OR p.proretset OR p.prokind <> 'f')) THEN
    RAISE EXCEPTION 'route {{name}}: % does not return a boolean', asked;
  END IF;
  -- Who owns it, or what it is in, says who hears what.
  WITH RECURSIVE part AS (
    SELECT to_regclass(w.name)::oid AS oid FROM unnest(ARRAY[{{tables}}]::text[]) AS w (name)
    UNION
    SELECT i.inhrelid FROM part JOIN pg_inherits AS i ON i.inhparent = part.oid)
  SELECT array_agg(c.relowner) INTO trusted FROM part JOIN pg_class AS c ON c.oid = part.oid;
  SELECT string_agg(DISTINCT format('%s belongs to %s', x.what, u.rolname), ', ') INTO other
  FROM pg_proc AS p
  JOIN pg_namespace AS n ON n.oid = p.pronamespace
  CROSS JOIN LATERAL (VALUES (asked::text, p.proowner), ('schema ' || n.nspname, n.nspowner)) AS x (what, owner)
  JOIN pg_database AS d ON d.datname = current_database()
  JOIN pg_roles AS u ON u.oid = CASE WHEN x.owner = to_regrole('pg_database_owner') THEN d.datdba ELSE x.owner END
  WHERE p.oid = asked AND NOT u.rolsuper
    AND u.oid <> ALL (coalesce(trusted, '{}')) AND u.rolname::text <> ALL (ARRAY[{{trusted}}]::text[]);
  IF other IS NOT NULL THEN
    RAISE EXCEPTION 'route {{name}}: %, who then says who hears what, and owns no table that is watched or that '
      'credentials are looked up in', other
      USING HINT = 'Let a superuser own it, or who owns these tables; or name that role as trusted_owners in [database].';
  END IF;

  IF NOT has_schema_privilege('pgherald_authorize', (SELECT p.pronamespace FROM pg_proc AS p WHERE p.oid = asked),
                              'USAGE') THEN
    GRANT USAGE ON SCHEMA {{schema}} TO pgherald_authorize;
  END IF;
  IF NOT has_function_privilege('pgherald_authorize', asked, 'EXECUTE') THEN
    EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO pgherald_authorize', asked);
  END IF;
END
$pgherald$;

SET LOCAL ROLE pgherald_owner;
GRANT USAGE ON SCHEMA pgherald TO pgherald_authorize;
GRANT CREATE ON SCHEMA pgherald TO pgherald_authorize;
RESET ROLE;
SET LOCAL ROLE pgherald_authorize;

-- Whether a user may hear all of these channels; {NULL} when there is none. No row is yes. Else one, with the place
-- of the first that is not: known is false when there is no such thing. Nothing is written, and all that is
-- done meanwhile is undone; what no roll-back undoes is taken back behind it. An id that cannot be
-- read as what it should be, a uuid for one, names nothing.
CREATE OR REPLACE FUNCTION pgherald.{{function}}(user_id text, role text, channels text[])
RETURNS TABLE (place int, known boolean, state text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '500ms'
AS $pgherald$
#variable_conflict use_column
<<it>>
DECLARE
  answer boolean;
  odd text;
  at int;
  left_behind text;
  found_out boolean := false;
BEGIN
  BEGIN
    PERFORM set_config('transaction_read_only', 'on', true);
    FOR i IN 1 .. cardinality(channels) LOOP
      BEGIN
        answer := {{called}}(user_id, role, channels[i]);
      EXCEPTION WHEN data_exception THEN
        answer := NULL;
        odd := SQLSTATE;
      END;
      IF answer IS NOT TRUE THEN
        at := i;
        EXIT;
      END IF;
    END LOOP;
    found_out := true;
    RAISE 'undo this';
  EXCEPTION WHEN OTHERS THEN
    IF NOT found_out THEN
      RAISE;
    END IF;
  END;
  PERFORM pg_advisory_unlock_all();
  FOR left_behind IN SELECT s.name FROM pg_prepared_statements AS s WHERE s.from_sql LOOP
    EXECUTE format('DEALLOCATE %I', left_behind);
  END LOOP;
  IF at IS NOT NULL THEN
    RETURN QUERY SELECT it.at, it.answer IS NOT NULL, it.odd;
  END IF;
END
$pgherald$;

REVOKE ALL ON FUNCTION pgherald.{{function}}(text, text, text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgherald.{{function}}(text, text, text[]) TO {{login}};
{{stamp}}

SET LOCAL ROLE pgherald_owner;
REVOKE CREATE ON SCHEMA pgherald FROM pgherald_authorize;
RESET ROLE;
COMMIT;
