--# One [auth] section: who a token belongs to, and a word when that changes. See core.sql for {{names}}.
-- pgherald {{version}}: look-up of credentials {{name_comment}}, and triggers that tell of revocation
-- Locks: CREATE TRIGGER holds SHARE ROW EXCLUSIVE on these tables until COMMIT: reads go on, writes
-- wait for a moment. If the lock cannot be had within lock_timeout, nothing has happened. The daemon
-- may call the look-up function, but cannot read the tables behind it.
{{begin}}

{{auth_owners}}

{{grants}}

-- Functions of pgherald_auth: what looks up credentials has no right on the journal. It makes them itself,
-- and may do that here for as long as it takes.
SET LOCAL ROLE pgherald_owner;
GRANT CREATE ON SCHEMA pgherald TO pgherald_auth;
RESET ROLE;
-- Those of version 2 belonged to pgherald_owner.
DO $pgherald$
DECLARE
  earlier regprocedure;
BEGIN
  FOR earlier IN SELECT p.oid FROM pg_proc AS p
                 WHERE p.pronamespace = 'pgherald'::regnamespace AND p.proname IN ({{functions}})
                   AND p.proowner = 'pgherald_owner'::regrole LOOP
    EXECUTE format('ALTER FUNCTION %s OWNER TO pgherald_auth', earlier);
  END LOOP;
END
$pgherald$;
SET LOCAL ROLE pgherald_auth;

-- An older one, or that of another preset, had another result, which cannot be replaced.
DO $pgherald$
BEGIN
  IF pg_get_function_result(to_regprocedure({{function_literal}}))
     <> {{result_literal}} THEN
    DROP FUNCTION pgherald.{{function}}(text[]);
  END IF;
END
$pgherald$;

{{lookup}}

-- Tells the daemon whose token, user or role has changed: it looks exactly these users up again, or
-- those who came with these sessions. One row a statement; no owners = everybody. TG_ARGV[0] is what
-- the table holds.
CREATE OR REPLACE FUNCTION pgherald.{{revoke}}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET row_security = off
SET plan_cache_mode = force_generic_plan
AS $pgherald$
#variable_conflict use_column
<<it>>
DECLARE
  max_users CONSTANT int := 500;
  users text[] := '{}';  -- NULL: everybody
  news  boolean;  -- whether this transaction had not said so already
BEGIN
  -- The guard: whatever goes wrong in here, the application's statement succeeds.
  BEGIN
    CASE TG_ARGV[0] || ' ' || TG_OP
      {{token_cases}}
      WHEN 'user DELETE' THEN
        users := ARRAY(SELECT DISTINCT {{row_user_key}} FROM old_rows AS r LIMIT it.max_users + 1);
      WHEN 'user UPDATE' THEN  -- not a login, which writes last_login
        users := ARRAY(
          SELECT DISTINCT gone.id
          FROM (SELECT {{row_user_key}} AS id, {{user_rights}}
                FROM old_rows AS r
                EXCEPT
                SELECT {{row_user_key}}, {{user_rights}}
                FROM new_rows AS r) AS gone
          LIMIT it.max_users + 1);
      {{group_cases}}
      ELSE  -- TRUNCATE
        users := NULL;
    END CASE;
    users := array_remove(users, NULL);
    IF users = '{}' THEN
      RETURN NULL;
    END IF;
    -- By itself: as a part of the condition it might never be called.
    news := pgherald.revoked(coalesce(it.users, '{}'));
    IF news AND {{may_ring}} THEN
      PERFORM pg_notify('pgherald', '{"v":1,"topic":"auth"}');
    END IF;
  EXCEPTION
    WHEN serialization_failure THEN
      RAISE;  -- the transaction must be tried again for its own reasons
    WHEN OTHERS THEN
      RAISE WARNING 'pgherald: % of % not recorded: % (%)', TG_OP, TG_RELID::regclass, SQLERRM, SQLSTATE;
      BEGIN
        PERFORM pgherald.revoked(NULL);
      EXCEPTION WHEN OTHERS THEN
        RAISE WARNING 'pgherald: loss not counted: %', SQLERRM;
      END;
  END;
  RETURN NULL;
END
$pgherald$;

REVOKE ALL ON FUNCTION pgherald.{{function}}(text[]), pgherald.{{revoke}}() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgherald.{{function}}(text[]) TO {{login}};
{{tables_only}}
{{stamp}}

SET LOCAL ROLE pgherald_owner;
REVOKE CREATE ON SCHEMA pgherald FROM pgherald_auth;
RESET ROLE;

-- Made when missing or not ours; left alone, without any lock, when they are as they should be.
DO $pgherald$
DECLARE
  t record;
BEGIN
  FOR t IN
    SELECT w.watched, w.holds, e.event, 'zz_pgherald_auth_' || {{name_literal}} || '_' || e.letter AS name,
           CASE e.event WHEN 'INSERT' THEN 'REFERENCING NEW TABLE AS new_rows'
                        WHEN 'UPDATE' THEN 'REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows'
                        WHEN 'DELETE' THEN 'REFERENCING OLD TABLE AS old_rows'
                        ELSE '' END AS transition
    FROM (VALUES
      {{watched_tables}}
    ) AS w(watched, holds, events)
    JOIN (VALUES ('i', 'INSERT'), ('u', 'UPDATE'), ('d', 'DELETE'), ('t', 'TRUNCATE')) AS e(letter, event)
      ON pg_catalog.strpos(w.events, e.letter) > 0
    WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_trigger AS x
                      WHERE x.tgrelid = w.watched
                        AND x.tgname = 'zz_pgherald_auth_' || {{name_literal}} || '_' || e.letter
                        AND x.tgfoid = pg_catalog.to_regprocedure({{revoke_literal}})
                        AND x.tgenabled IN ('O', 'A'))
  LOOP
    EXECUTE pg_catalog.format('DROP TRIGGER IF EXISTS %I ON %s', t.name, t.watched);
    EXECUTE pg_catalog.format(
      'CREATE TRIGGER %I AFTER %s ON %s %s FOR EACH STATEMENT EXECUTE FUNCTION pgherald.%s(%L)',
      t.name, t.event, t.watched, t.transition, {{revoke_ident_literal}}, t.holds);
  END LOOP;
END
$pgherald$;
COMMIT;
