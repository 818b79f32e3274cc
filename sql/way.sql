--# One table on the way to the owners of a watch with follow = yes. See core.sql for {{names}}.
-- pgherald {{version}}: owners of watch {{topic}} by way of {{table_comment}}
-- Locks: CREATE TRIGGER holds SHARE ROW EXCLUSIVE on that table until COMMIT: reads go on, writes
-- wait for a moment. If the lock cannot be had within lock_timeout, nothing has happened. A function
-- that is only replaced takes no lock on the table.
{{begin}}

{{parts}}

{{home}}

SET LOCAL ROLE pgherald_owner;

-- Followed before? Then whoever listens misses what happens without the triggers.
DO $pgherald$
BEGIN
  PERFORM set_config('pgherald.missed', CASE WHEN to_regprocedure('pgherald.{{function}}()') IS NOT NULL
                                             THEN 'maybe' ELSE '' END, true);
END
$pgherald$;

CREATE OR REPLACE FUNCTION pgherald.{{function}}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'  -- keys and owners as on_{{topic}} and tell_{{topic}} spell them
SET datestyle = 'ISO, YMD'
SET intervalstyle = 'iso_8601'
SET bytea_output = 'hex'
SET extra_float_digits = 1
SET jit = off
AS $pgherald$
#variable_conflict use_column
DECLARE
  went_keys text[];  -- what was changed: of the rows that are gone what leads to the watched table, and
  went      text[];  -- what leads on to the owners,
  came_keys text[];  -- and of those that came
  came      text[];
  lost_keys text[];  -- the owners that the former led to, each with his key; NULL if they could not be had
  lost      text[];
  hit_keys  text[];  -- the watched rows that the keys lead to; NULL if they could not be had, or are too many
  hits      text[];
  datas     json[];
  reason    text;    -- why this statement becomes one "fetch again"
  n_here    int;
  written   int;
  last_id   bigint;
  snap      text;    -- who has changed ways before the look
BEGIN
  -- The guard: whatever goes wrong in here, the application's statement succeeds. See on_{{topic}}.
  BEGIN
    IF current_setting('pgherald.tx_{{topic}}', true) <> '' THEN
      IF EXISTS (SELECT FROM pgherald.journal AS j
                 WHERE j.ctid = current_setting('pgherald.tx_{{topic}}')::tid
                   AND j.txid = txid_current_if_assigned() AND j.topic = '{{topic}}' AND j.op = 'r') THEN
        RETURN NULL;  -- this transaction already says "fetch again"
      END IF;
    END IF;

    IF TG_OP = 'DELETE' THEN
      SELECT count(*) INTO n_here FROM (SELECT FROM old_rows LIMIT 501) AS few;
    ELSIF TG_OP <> 'TRUNCATE' THEN
      SELECT count(*) INTO n_here FROM (SELECT FROM new_rows LIMIT 501) AS few;
    END IF;
    IF n_here = 0 THEN
      RETURN NULL;
    ELSIF n_here <= 500 THEN
      IF TG_OP = 'INSERT' THEN
        SELECT array_agg(p.key), array_agg(p.value) INTO came_keys, came
        FROM (SELECT {{pair}} FROM new_rows AS r) AS p
        WHERE p.key IS NOT NULL AND p.value IS NOT NULL;
      ELSIF TG_OP = 'DELETE' THEN
        SELECT array_agg(p.key), array_agg(p.value) INTO went_keys, went
        FROM (SELECT {{pair}} FROM old_rows AS r) AS p
        WHERE p.key IS NOT NULL AND p.value IS NOT NULL;
      ELSE
        SELECT array_agg(p.key), array_agg(p.value) INTO went_keys, went
        FROM (SELECT {{pair}} FROM old_rows AS r
              EXCEPT ALL
              SELECT {{pair}} FROM new_rows AS r) AS p
        WHERE p.key IS NOT NULL AND p.value IS NOT NULL;
        SELECT array_agg(p.key), array_agg(p.value) INTO came_keys, came
        FROM (SELECT {{pair}} FROM new_rows AS r
              EXCEPT ALL
              SELECT {{pair}} FROM old_rows AS r) AS p
        WHERE p.key IS NOT NULL AND p.value IS NOT NULL;
      END IF;
      IF went_keys IS NULL AND came_keys IS NULL THEN
        RETURN NULL;  -- nothing that leads anywhere
      END IF;
    END IF;

    reason := coalesce(pgherald.too_much('{{topic}}', 1),
                       CASE WHEN n_here > 500 THEN 'storm' WHEN n_here IS NULL THEN 'rescope' END);
    IF reason = '' THEN
      RETURN NULL;
    ELSIF reason IS NOT NULL THEN
      written := 1;
      last_id := pgherald.refetch('{{topic}}', reason, coalesce(n_here, 0));
    ELSE
      snap := txid_current_snapshot();
      IF current_setting('transaction_isolation') <> 'serializable' THEN  -- see on_{{topic}}
        BEGIN
          PERFORM set_config('lock_timeout', '5ms', true);
          SELECT s.* INTO lost_keys, lost, hit_keys, hits, datas
          FROM pgherald.{{seek}}(went_keys, went, came_keys) AS s;
          RAISE 'undo this';
        EXCEPTION WHEN OTHERS OR assert_failure THEN
          NULL;
        END;
      END IF;
      {{at_hand}}
      -- A row (v) that says what was looked for: what others were writing meanwhile, and what could not be
      -- looked for here, finds whoever reads (settle_{{topic}}). And a row (w) for each row of the watched
      -- table that was found: who has lost it on this way, and who has won it, each as often as that was so; a
      -- NULL among them for all that the new way leads to, whoever they are.
      WITH recorded AS (
        INSERT INTO pgherald.journal (topic, op, pk, own_old, own_new, data, actor)
        SELECT '{{topic}}', it.op, it.pk, it.lost, it.won, it.data,
               nullif(current_setting('pgherald.actor', true), '')
        FROM (SELECT 'w'::"char" AS op, hit.pk, hit.data,
                     ARRAY(SELECT l.owner FROM unnest(hit.keys) AS k (key)
                           JOIN unnest(lost_keys, lost) AS l (key, owner) USING (key)) AS lost,
                     {{won}} AS won
              FROM (SELECT h.pk, array_agg(h.key) AS keys, (array_agg(h.data))[1] AS data
                    FROM unnest(hit_keys, hits, datas) AS h (key, pk, data)
                    GROUP BY h.pk) AS hit
              UNION ALL
              SELECT 'v', NULL,
                     json_build_array('{{way_mark}}', {{n}}, hits IS NOT NULL, coalesce(went_keys, '{}'),
                                      coalesce(went, '{}'), coalesce(came_keys, '{}'), coalesce(came, '{}'),
                                      coalesce(lost_keys, '{}'), lost, coalesce(hits, '{}'), snap, coalesce(hit_keys, '{}')),
                     ARRAY(SELECT DISTINCT unnest(lost) ORDER BY 1), '{}') AS it
        RETURNING id)
      SELECT count(*), max(recorded.id) INTO written, last_id FROM recorded;
    END IF;
    IF last_id % 64 < written THEN
      PERFORM pgherald.shut_when_full();
    END IF;
    IF {{may_ring}} THEN
      PERFORM pg_notify('pgherald', '{"v":1,"topic":"{{topic}}"}');
    END IF;
    RETURN NULL;
  EXCEPTION
    WHEN serialization_failure THEN
      RAISE;
    WHEN OTHERS THEN
      RAISE WARNING 'pgherald: % of % not recorded: % (%)', TG_OP, TG_RELID::regclass, SQLERRM, SQLSTATE;
      BEGIN
        PERFORM pgherald.lost('{{topic}}');
      EXCEPTION
        WHEN serialization_failure THEN
          RAISE;
        WHEN OTHERS THEN
          RAISE WARNING 'pgherald: loss not counted: %', SQLERRM;
      END;
      RETURN NULL;
  END;
END
$pgherald$;
REVOKE ALL ON FUNCTION pgherald.{{function}}() FROM PUBLIC;
{{stamp}}

-- What reads tables of the application belongs to a role that reads nothing else: not the journal.
GRANT CREATE ON SCHEMA pgherald TO pgherald_teller;
SET LOCAL ROLE pgherald_teller;

-- The owners that the rows which are gone led to, and the watched rows that lead to what was changed, as far as
-- an index leads back to them: without one each change would read the whole table. A hundred rows at most.
CREATE OR REPLACE FUNCTION pgherald.{{seek}}(went_keys text[], went text[], came_keys text[])
RETURNS TABLE (lost_keys text[], lost text[], hit_keys text[], hits text[], datas json[])
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET row_security = off
AS $pgherald$
#variable_conflict use_column
BEGIN
  -- Nothing of a table is planned with other rights, whatever somebody has altered here.
  IF NOT pg_catalog.starts_with(current_user, 'pgherald_teller') THEN
    RAISE insufficient_privilege;
  END IF;
  {{lost}}
  IF {{indexed}} THEN
    SELECT coalesce(array_agg(few.key), '{}'), coalesce(array_agg(few.pk), '{}'), coalesce(array_agg(few.data), '{}')
    INTO hit_keys, hits, datas
    FROM (SELECT m.key, hit.pk, hit.data
          FROM (SELECT DISTINCT unnest(went_keys || came_keys) AS key) AS m
          CROSS JOIN LATERAL (
            SELECT {{this_key}} AS pk,
                   {{this_data}} AS data
            FROM {{rows}}
            WHERE {{rows_of_key}}
            LIMIT 101) AS hit
          LIMIT 101) AS few;
    IF cardinality(hits) > 100 THEN
      hit_keys := NULL;
      hits := NULL;
      datas := NULL;
    END IF;
  END IF;
  RETURN NEXT;
END
$pgherald$;
REVOKE ALL ON FUNCTION pgherald.{{seek}}(text[], text[], text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgherald.{{seek}}(text[], text[], text[]) TO pgherald_owner;
{{tables_only}}
{{stamp_teller}}

SET LOCAL ROLE pgherald_owner;
REVOKE CREATE ON SCHEMA pgherald FROM pgherald_teller;
RESET ROLE;

{{teller}}

-- Made when missing or not ours; left alone, without any lock, when they are as they should be.
DO $pgherald$
DECLARE
  made CONSTANT text[] := ARRAY(
    SELECT t.tgname::text FROM pg_trigger AS t
    WHERE t.tgrelid = {{table_literal}}::regclass AND t.tgname ~ '^zz_pgherald_{{function}}_[iudt]$');
  good CONSTANT text[] := ARRAY(
    SELECT t.tgname::text FROM pg_trigger AS t
    WHERE t.tgrelid = {{table_literal}}::regclass AND t.tgfoid = 'pgherald.{{function}}()'::regprocedure
      AND t.tgname ~ '^zz_pgherald_{{function}}_[iudt]$' AND t.tgenabled IN ('O', 'A'));
BEGIN
  IF cardinality(good) < 4 AND current_setting('pgherald.missed') = 'maybe' THEN
    PERFORM set_config('pgherald.missed', 'yes', true);
  END IF;
  IF NOT 'zz_pgherald_{{function}}_i' = ANY (good) THEN
    IF 'zz_pgherald_{{function}}_i' = ANY (made) THEN
      DROP TRIGGER zz_pgherald_{{function}}_i ON {{table}};
    END IF;
    CREATE TRIGGER zz_pgherald_{{function}}_i AFTER INSERT ON {{table}}
      REFERENCING NEW TABLE AS new_rows
      FOR EACH STATEMENT EXECUTE FUNCTION pgherald.{{function}}();
  END IF;
  IF NOT 'zz_pgherald_{{function}}_u' = ANY (good) THEN
    IF 'zz_pgherald_{{function}}_u' = ANY (made) THEN
      DROP TRIGGER zz_pgherald_{{function}}_u ON {{table}};
    END IF;
    CREATE TRIGGER zz_pgherald_{{function}}_u AFTER UPDATE ON {{table}}
      REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
      FOR EACH STATEMENT EXECUTE FUNCTION pgherald.{{function}}();
  END IF;
  IF NOT 'zz_pgherald_{{function}}_d' = ANY (good) THEN
    IF 'zz_pgherald_{{function}}_d' = ANY (made) THEN
      DROP TRIGGER zz_pgherald_{{function}}_d ON {{table}};
    END IF;
    CREATE TRIGGER zz_pgherald_{{function}}_d AFTER DELETE ON {{table}}
      REFERENCING OLD TABLE AS old_rows
      FOR EACH STATEMENT EXECUTE FUNCTION pgherald.{{function}}();
  END IF;
  IF NOT 'zz_pgherald_{{function}}_t' = ANY (good) THEN
    IF 'zz_pgherald_{{function}}_t' = ANY (made) THEN
      DROP TRIGGER zz_pgherald_{{function}}_t ON {{table}};
    END IF;
    CREATE TRIGGER zz_pgherald_{{function}}_t AFTER TRUNCATE ON {{table}}
      FOR EACH STATEMENT EXECUTE FUNCTION pgherald.{{function}}();
  END IF;
END
$pgherald$;

SET LOCAL ROLE pgherald_owner;
INSERT INTO pgherald.journal (id, topic, op, data) OVERRIDING SYSTEM VALUE
SELECT pgherald.next_id(), '{{topic}}', 'r', '{"reason":"schema"}'
WHERE current_setting('pgherald.missed') = 'yes';
RESET ROLE;
COMMIT;
