--# The trigger function of a watch with capture = notify. See core.sql for {{names}}.
CREATE OR REPLACE FUNCTION pgherald.on_{{topic}}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'                      -- the document must not depend on the session
SET datestyle = 'ISO, YMD'
SET intervalstyle = 'iso_8601'
SET bytea_output = 'hex'
SET extra_float_digits = 1
SET plan_cache_mode = force_generic_plan  -- or the statements would be planned on every call
AS $pgherald$
#variable_conflict use_column
<<it>>
DECLARE
  max_rows  CONSTANT int := 500;   -- rows per transaction, beyond which it is cheaper to fetch again
  max_stmts CONSTANT int := 32;    -- statements: each costs a subtransaction, 64 are cached
  max_bytes CONSTANT int := 7900;  -- of a payload; 8000 would abort the application's transaction
  tx CONSTANT text := txid_current_if_assigned();
  tally   text := current_setting('pgherald.tx_{{topic}}', true);
            -- of this transaction: "txid rows statements"
  n_rows  int := 0;
  n_stmts int := 0;
  n_here  int := 0;   -- rows of this statement, as far as counted
  payload text;
  olds    jsonb[] := '{}';
  news    jsonb[] := '{}';
  was     jsonb;      -- one row before, NULL for an insert
  now     jsonb;      -- the same after, NULL for a delete
  one     jsonb;      -- whichever there is
  changed boolean;    -- whether an update changed a watched column of it
  pk      text;       -- its key
  before  text[];     -- its owners before
  after   text[];     -- and after
  leave   json;       -- what a former owner still gets
  names        json;  -- those in other tables, of this row and of the row before
  former_names json;
  looked       boolean;  -- whether these and owners in other tables have been found
BEGIN
  -- The guard: whatever goes wrong in here, the application's statement succeeds.
  BEGIN
    IF TG_OP = 'DELETE' THEN
      SELECT count(*) INTO n_here FROM (SELECT FROM old_rows LIMIT it.max_rows + 1) AS few;
    ELSIF TG_OP <> 'TRUNCATE' THEN
      SELECT count(*) INTO n_here FROM (SELECT FROM new_rows LIMIT it.max_rows + 1) AS few;
    END IF;
    IF n_here = 0 AND TG_OP <> 'TRUNCATE' THEN
      RETURN NULL;
    END IF;
    -- A full queue would fail the COMMIT.
    IF pg_notification_queue_usage() >= 0.5 THEN
      RAISE EXCEPTION 'the queue of notifications is half full';
    END IF;

    IF split_part(tally, ' ', 1) = tx THEN
      n_rows := split_part(tally, ' ', 2);
      n_stmts := split_part(tally, ' ', 3);
    END IF;
    tally := set_config('pgherald.tx_{{topic}}', concat_ws(' ', tx, n_rows + n_here, n_stmts + 1), true);

    IF n_rows + n_here > max_rows OR n_stmts >= max_stmts THEN
      -- The same text each time: PostgreSQL sends it once per transaction.
      PERFORM pg_notify('pgherald_inline',
                        '{"v":1,"topic":"{{topic}}","op":"r","reason":"storm"}');
      {{rescope_all}}
      RETURN NULL;
    ELSIF TG_OP = 'TRUNCATE' THEN
      PERFORM pg_notify('pgherald_inline', '{"v":1,"topic":"{{topic}}","op":"t"}');
      {{rescope_all}}
      RETURN NULL;
    END IF;

    -- Rows as objects of what is watched, so that a column may be altered or dropped without asking us.
    IF TG_OP = 'INSERT' THEN
      news := ARRAY(SELECT pgherald_v.r FROM new_rows AS pgherald_row {{cross}});
    ELSIF TG_OP = 'DELETE' THEN
      olds := ARRAY(SELECT pgherald_v.r FROM old_rows AS pgherald_row {{cross}});
    ELSE  -- paired by key; where it changed there is one gone and one new
      SELECT array_agg(o.r ORDER BY coalesce(n.place, o.place), n.place NULLS FIRST),
             array_agg(n.r ORDER BY coalesce(n.place, o.place), n.place NULLS FIRST)
      INTO olds, news
      FROM (SELECT pgherald_v.r, row_number() OVER () AS place FROM old_rows AS pgherald_row {{cross}}) AS o
      FULL JOIN (SELECT pgherald_v.r, row_number() OVER () AS place FROM new_rows AS pgherald_row {{cross}}) AS n
        ON {{same_key}};
    END IF;

    FOR i IN 1 .. greatest(cardinality(olds), cardinality(news)) LOOP
      was := olds[i];
      now := news[i];
      one := coalesce(now, was);
      changed := NULL;
      IF was IS NOT NULL AND now IS NOT NULL THEN
        changed := {{differs}};
        CONTINUE WHEN NOT changed;  -- save() writes every column: drop what changed nothing
      END IF;
      pk := {{pk}};
      IF pk IS NULL THEN
        RAISE EXCEPTION 'a column of the key is missing';
      END IF;
      {{asked}}
      leave := NULL;
      IF changed AND before <> after THEN
        leave := {{leave}};
      END IF;
      payload := (
        SELECT row_to_json(event)
        FROM (SELECT 1 AS v,
                     '{{topic}}' AS topic,
                     CASE WHEN was IS NULL THEN 'i' WHEN now IS NULL THEN 'd' ELSE 'u' END AS op,
                     it.before AS before,
                     it.after AS after,
                     {{doc}} AS doc,
                     it.leave AS leave) AS event);
      IF octet_length(payload) > max_bytes THEN
        payload := '{"v":1,"topic":"{{topic}}","op":"r","reason":"size"}';
      END IF;
      PERFORM pg_notify('pgherald_inline', payload);
      {{rescope}}
    END LOOP;
  EXCEPTION WHEN serialization_failure THEN
    RAISE;  -- the application's own, which tries again
  WHEN OTHERS OR assert_failure THEN
    RAISE WARNING 'pgherald: % of % not recorded: % (%)', TG_OP, TG_RELID::regclass, SQLERRM, SQLSTATE;
    BEGIN
      PERFORM nextval('pgherald.loss');
    EXCEPTION WHEN OTHERS THEN
      RAISE WARNING 'pgherald: loss not counted: %', SQLERRM;
    END;
  END;
  RETURN NULL;
END
$pgherald$;
