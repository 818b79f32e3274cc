--# One [auth] section: who a token belongs to, and a word when that changes. See core.sql for {{names}}.
-- pgherald {{version}}: look-up of credentials {{name_comment}}, and triggers that tell of revocation
-- Locks: CREATE TRIGGER holds SHARE ROW EXCLUSIVE on these tables until COMMIT: reads go on, writes
-- wait for a moment. If the lock cannot be had within lock_timeout, nothing has happened. The daemon
-- may call the look-up function, but cannot read the tables behind it.
{{begin}}

{{grants}}

SET LOCAL ROLE pgherald_owner;

-- An older one, or that of another preset, had another result, which cannot be replaced.
DO $pgherald$
BEGIN
  IF pg_catalog.pg_get_function_result(pg_catalog.to_regprocedure({{function_literal}}))
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
SET plan_cache_mode = force_generic_plan
AS $pgherald$
#variable_conflict use_column
<<it>>
DECLARE
  max_users CONSTANT int := 500;
  max_stmts CONSTANT int := 32;  -- per transaction; each costs a subtransaction id
  tx CONSTANT text := txid_current_if_assigned();
  tally   text := current_setting('pgherald.tx_auth', true);
            -- of this transaction: "txid statements", or "txid all id" when everybody was named
  n_stmts int := 0;
  users   text[] := '{}';
  last_id bigint;
BEGIN
  -- The guard: whatever goes wrong in here, the application's statement succeeds.
  BEGIN
    CASE TG_ARGV[0] || ' ' || TG_OP
      {{token_cases}}
      WHEN 'user DELETE' THEN
        users := ARRAY(SELECT DISTINCT to_jsonb(r)->>{{user_key_literal}} FROM old_rows AS r
                       LIMIT max_users + 1);
      WHEN 'user UPDATE' THEN  -- not a login, which writes last_login
        users := ARRAY(
          SELECT DISTINCT gone.id
          FROM (SELECT to_jsonb(r)->>{{user_key_literal}} AS id, {{user_rights}}
                FROM old_rows AS r
                EXCEPT
                SELECT to_jsonb(r)->>{{user_key_literal}}, {{user_rights}}
                FROM new_rows AS r) AS gone
          LIMIT max_users + 1);
      {{group_cases}}
      ELSE  -- TRUNCATE: everybody
        NULL;
    END CASE;
    users := array_remove(users, NULL);
    IF users = '{}' AND TG_OP <> 'TRUNCATE' THEN
      RETURN NULL;
    END IF;

    IF split_part(tally, ' ', 1) = tx THEN
      IF split_part(tally, ' ', 2) <> 'all' THEN
        n_stmts := split_part(tally, ' ', 2);
      ELSIF EXISTS (SELECT FROM pgherald.journal AS j
                    WHERE j.txid = tx::bigint AND j.id = split_part(tally, ' ', 3)::bigint
                      AND j.op = 'a' AND j.own_old = '{}') THEN
        RETURN NULL;  -- this transaction already names everybody
      END IF;
    END IF;
    IF cardinality(users) > max_users OR n_stmts >= max_stmts THEN
      users := '{}';
    END IF;

    INSERT INTO pgherald.journal (id, topic, op, own_old) OVERRIDING SYSTEM VALUE
    VALUES (pgherald.next_id(), 'auth', 'a', users)
    RETURNING id INTO last_id;
    IF users = '{}' THEN
      tally := set_config('pgherald.tx_auth', tx || ' all ' || last_id, true);
    ELSE
      tally := set_config('pgherald.tx_auth', tx || ' ' || n_stmts + 1, true);
    END IF;
    IF {{may_ring}} THEN
      PERFORM pg_notify('pgherald', '{"v":1,"topic":"auth"}');
    END IF;
  EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'pgherald: % of % not recorded: % (%)', TG_OP, TG_RELID::regclass, SQLERRM, SQLSTATE;
    BEGIN
      PERFORM nextval('pgherald.loss');
    EXCEPTION WHEN OTHERS THEN
      RAISE WARNING 'pgherald: loss not counted: %', SQLERRM;
    END;
    BEGIN
      INSERT INTO pgherald.journal (id, topic, op) OVERRIDING SYSTEM VALUE
      VALUES (pgherald.next_id(), 'auth', 'a') RETURNING id INTO last_id;
      tally := set_config('pgherald.tx_auth', txid_current()::text || ' all ' || last_id, true);
    EXCEPTION WHEN OTHERS THEN
      NULL;  -- the counter has told the daemon
    END;
  END;
  RETURN NULL;
END
$pgherald$;

REVOKE ALL ON FUNCTION pgherald.{{function}}(text[]), pgherald.{{revoke}}() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgherald.{{function}}(text[]) TO pgherald_reader;
{{stamp}}

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
