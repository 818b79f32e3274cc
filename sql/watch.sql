--# One watched table: its trigger function and four triggers. See core.sql for {{names}}.
-- pgherald {{version}}: watch {{topic}}, table {{table_comment}}
-- Locks: CREATE TRIGGER holds SHARE ROW EXCLUSIVE on that table until COMMIT: reads go on, writes
-- wait for a moment. If the lock cannot be had within lock_timeout, nothing has happened. A function
-- that is only replaced takes no lock on the table.
BEGIN;
SET LOCAL lock_timeout = '2s';
SET LOCAL client_min_messages = warning;

-- Every configured column must be there now. (Later a vanished one reads as null.)
DO $pgherald$
BEGIN
  PERFORM {{columns}}
  FROM {{table}} AS watched LIMIT 0;

  IF NOT EXISTS (SELECT FROM pg_catalog.pg_index AS i
                 WHERE i.indrelid = {{table_literal}}::pg_catalog.regclass
                   AND i.indisunique AND i.indpred IS NULL
                   AND ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute AS a
                             WHERE a.attrelid = i.indrelid
                               AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]))
                       <@ {{key_array}}
                   AND 0 <> ALL (i.indkey::int2[])) THEN
    RAISE EXCEPTION 'watch {{topic}}: no unique index says that key identifies a row of %',
      {{table_literal}}::pg_catalog.regclass;
  END IF;
END
$pgherald$;

{{grants}}

SET LOCAL ROLE pgherald_owner;

CREATE OR REPLACE FUNCTION pgherald.on_{{topic}}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'                      -- the document must not depend on the session
SET datestyle = 'ISO, YMD'
SET intervalstyle = 'iso_8601'
SET bytea_output = 'hex'
SET extra_float_digits = 1
SET plan_cache_mode = force_generic_plan  -- or the big statement would be planned on every call
AS $pgherald$
#variable_conflict use_column
DECLARE
  max_rows  CONSTANT int := 500;  -- rows per transaction, beyond which it is cheaper to fetch again
  max_stmts CONSTANT int := 32;   -- statements: each costs a subtransaction id, 64 are cached
  tx CONSTANT text := txid_current_if_assigned();
  tally   text := current_setting('pgherald.tx_{{topic}}', true);
            -- of this transaction: "txid rows statements", or "txid resync id" after the collapse
  n_rows  int := 0;
  n_stmts int := 0;
  n       int := 0;
  resync  bigint;
  olds    jsonb[];
  news    jsonb[];
BEGIN
  -- The guard: whatever goes wrong in here, the application's statement succeeds.
  BEGIN
    IF TG_OP = 'DELETE' THEN
      SELECT count(*) INTO n FROM (SELECT FROM old_rows LIMIT max_rows + 1) AS few;
    ELSIF TG_OP <> 'TRUNCATE' THEN
      SELECT count(*) INTO n FROM (SELECT FROM new_rows LIMIT max_rows + 1) AS few;
    END IF;
    IF n = 0 AND TG_OP <> 'TRUNCATE' THEN
      RETURN NULL;
    END IF;

    IF split_part(tally, ' ', 1) = tx THEN
      IF split_part(tally, ' ', 2) <> 'resync' THEN
        n_rows := split_part(tally, ' ', 2);
        n_stmts := split_part(tally, ' ', 3);
      ELSIF EXISTS (SELECT FROM pgherald.journal AS j
                    WHERE j.txid = tx::bigint AND j.id = split_part(tally, ' ', 3)::bigint
                      AND j.topic = '{{topic}}' AND j.op = 'r') THEN
        RETURN NULL;  -- this transaction already says "fetch again"
      END IF;
    END IF;

    IF n_rows + n > max_rows OR n_stmts >= max_stmts THEN
      INSERT INTO pgherald.journal (topic, op, n, doc)
      VALUES ('{{topic}}', 'r', n, '{"reason":"storm"}') RETURNING id INTO resync;
      tally := set_config('pgherald.tx_{{topic}}', tx || ' resync ' || resync, true);
    ELSIF TG_OP = 'TRUNCATE' THEN
      INSERT INTO pgherald.journal (topic, op) VALUES ('{{topic}}', 't');
      tally := set_config('pgherald.tx_{{topic}}', tx || ' ' || n_rows || ' ' || n_stmts + 1, true);
    ELSE
      -- Rows as jsonb, so that a column may be altered or dropped without asking us.
      IF TG_OP <> 'INSERT' THEN
        olds := ARRAY(SELECT to_jsonb(old_rows.*) FROM old_rows);
      END IF;
      IF TG_OP <> 'DELETE' THEN
        news := ARRAY(SELECT to_jsonb(new_rows.*) FROM new_rows);
      END IF;

      INSERT INTO pgherald.journal (topic, op, pk, own_old, own_new, doc, leave, chg, actor)
      SELECT '{{topic}}',
             (CASE WHEN o.r IS NULL THEN 'i' WHEN n.r IS NULL THEN 'd' ELSE 'u' END)::"char",
             {{pk}},
             owned.before,
             owned.after,
             row_to_json(doc),
             {{leave}},
             CASE WHEN o.r IS NOT NULL AND n.r IS NOT NULL THEN changed.cols END,
             nullif(current_setting('pgherald.actor', true), '')
      FROM unnest(olds) WITH ORDINALITY AS o(r, place)
      FULL JOIN unnest(news) WITH ORDINALITY AS n(r, place)  -- a changed key: one gone, one new
        ON {{same_key}}
      CROSS JOIN LATERAL (SELECT coalesce(n.r, o.r) AS r) AS k
      CROSS JOIN LATERAL (
        SELECT ARRAY(SELECT name FROM unnest({{watched_array}}) AS name
                     WHERE o.r->name IS DISTINCT FROM n.r->name) AS cols
        OFFSET 0) AS changed
      CROSS JOIN LATERAL (
        SELECT {{own_old}} AS before,
               {{own_new}} AS after
        OFFSET 0) AS owned
      {{joins}}
      CROSS JOIN LATERAL (
        SELECT {{fields}}) AS doc
      WHERE cardinality(changed.cols) > 0  -- save() writes every column: drop what changed nothing
      ORDER BY coalesce(n.place, o.place), n.place NULLS FIRST;

      GET DIAGNOSTICS n = ROW_COUNT;
      IF n = 0 THEN
        RETURN NULL;
      END IF;
      tally := set_config('pgherald.tx_{{topic}}',
                          tx || ' ' || n_rows + n || ' ' || n_stmts + 1, true);
    END IF;

    -- Wake the daemon. Constant text, one per transaction; a full queue would fail the COMMIT.
    IF pg_notification_queue_usage() < 0.5 THEN
      PERFORM pg_notify('pgherald', '{"v":1,"topic":"{{topic}}"}');
    END IF;
  EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'pgherald: % of % not recorded: % (%)', TG_OP, TG_RELID::regclass, SQLERRM, SQLSTATE;
    BEGIN
      PERFORM nextval('pgherald.loss');
    EXCEPTION WHEN OTHERS THEN
      RAISE WARNING 'pgherald: loss not counted: %', SQLERRM;
    END;
    BEGIN
      INSERT INTO pgherald.journal (topic, op, doc)
      VALUES ('{{topic}}', 'r', '{"reason":"loss"}') RETURNING id INTO resync;
      tally := set_config('pgherald.tx_{{topic}}',
                          txid_current()::text || ' resync ' || resync, true);
    EXCEPTION WHEN OTHERS THEN
      NULL;  -- the counter has told the daemon
    END;
  END;
  RETURN NULL;
END
$pgherald$;

REVOKE ALL ON FUNCTION pgherald.on_{{topic}}() FROM PUBLIC;
{{stamp}}

RESET ROLE;

-- Made when missing or not ours; left alone, without any lock, when they are as they should be.
DO $pgherald$
DECLARE
  made CONSTANT text[] := ARRAY(
    SELECT t.tgname::text FROM pg_catalog.pg_trigger AS t
    WHERE t.tgrelid = {{table_literal}}::pg_catalog.regclass
      AND t.tgname IN ('zz_pgherald_i', 'zz_pgherald_u', 'zz_pgherald_d', 'zz_pgherald_t'));
  good CONSTANT text[] := ARRAY(
    SELECT t.tgname::text FROM pg_catalog.pg_trigger AS t
    WHERE t.tgrelid = {{table_literal}}::pg_catalog.regclass
      AND t.tgfoid = 'pgherald.on_{{topic}}()'::pg_catalog.regprocedure
      AND t.tgenabled IN ('O', 'A'));
BEGIN
  IF NOT 'zz_pgherald_i' = ANY (good) THEN
    IF 'zz_pgherald_i' = ANY (made) THEN
      DROP TRIGGER zz_pgherald_i ON {{table}};
    END IF;
    CREATE TRIGGER zz_pgherald_i AFTER INSERT ON {{table}}
      REFERENCING NEW TABLE AS new_rows
      FOR EACH STATEMENT EXECUTE FUNCTION pgherald.on_{{topic}}();
  END IF;
  IF NOT 'zz_pgherald_u' = ANY (good) THEN
    IF 'zz_pgherald_u' = ANY (made) THEN
      DROP TRIGGER zz_pgherald_u ON {{table}};
    END IF;
    CREATE TRIGGER zz_pgherald_u AFTER UPDATE ON {{table}}
      REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
      FOR EACH STATEMENT EXECUTE FUNCTION pgherald.on_{{topic}}();
  END IF;
  IF NOT 'zz_pgherald_d' = ANY (good) THEN
    IF 'zz_pgherald_d' = ANY (made) THEN
      DROP TRIGGER zz_pgherald_d ON {{table}};
    END IF;
    CREATE TRIGGER zz_pgherald_d AFTER DELETE ON {{table}}
      REFERENCING OLD TABLE AS old_rows
      FOR EACH STATEMENT EXECUTE FUNCTION pgherald.on_{{topic}}();
  END IF;
  IF NOT 'zz_pgherald_t' = ANY (good) THEN
    IF 'zz_pgherald_t' = ANY (made) THEN
      DROP TRIGGER zz_pgherald_t ON {{table}};
    END IF;
    CREATE TRIGGER zz_pgherald_t AFTER TRUNCATE ON {{table}}
      FOR EACH STATEMENT EXECUTE FUNCTION pgherald.on_{{topic}}();
  END IF;
END
$pgherald$;
COMMIT;
