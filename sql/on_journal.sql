--# The trigger function of a watch with capture = journal. See core.sql for {{names}}.
CREATE OR REPLACE FUNCTION pgherald.on_{{topic}}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off  -- a session keeps the plans that its first statement got, were it of a million rows
AS $pgherald$
#variable_conflict use_column
DECLARE
  -- Each expression in here is set up anew in every transaction, which costs more than what it does: so
  -- there are few, and most of these begin as NULL.
  more    bigint;     -- the quick way's row, if there is more to be done: the journal's size to be looked
                      -- at, a daemon to be woken; negative, if this may be the 33rd statement (xmin is
                      -- its subtransaction, more than 32 numbers behind the transaction); 0, if it
                      -- has failed
  n_here  int;        -- rows of this statement, as far as counted
  written int;
  moved   boolean;    -- whether a row that has owners came or went, or an update gave it to others
  no_key  boolean;
  reason  text;       -- why this statement becomes one "fetch again"
  last_id bigint;
  -- What stands in other tables, of the rows in their order (no column has these names): if it can be had
  -- at once. A table that a migration holds is not waited for, and the locks of a look go with its block, or
  -- they would last to the end of the transaction and be in the migration's way. Under SERIALIZABLE a look
  -- would be a conflict. What is not found here, tell looks up when it tells.
  pgherald_names json[];  -- names of deleted rows
  pgherald_was   text[];  -- owners before an update, and
  pgherald_own   text[];  -- of what is there, or was deleted: arrays as text
  {{declare_snap}}
BEGIN
  -- The quick way: nearly every statement changes one row and leaves it with its owners. Only
  -- what is at hand is recorded, and nothing is read: not the journal, where that would be a conflict
  -- of SERIALIZABLE transactions, nor a table that somebody may have locked; names and further owners
  -- are looked up by who reads the journal (tell_{{topic}}). An update that changed nothing writes
  -- nothing (save() writes every column). What is not so simple fails, is undone, and left to the
  -- careful way: a second row (INTO wants one; of two rows before and two after, two pairs differ
  -- at least), a NULL as op, a column that is gone or has become something else; and when the
  -- journal is closed, there is no id for the row. This block and the next are the guard: whatever
  -- goes wrong in them, the application's statement succeeds, unless the transaction must be tried
  -- again for its own reasons.
  BEGIN
    IF current_setting('pgherald.tx_{{topic}}', true) <> '' THEN
      IF EXISTS (SELECT FROM pgherald.journal AS j
                 WHERE j.ctid = current_setting('pgherald.tx_{{topic}}')::tid
                   AND j.txid = txid_current_if_assigned() AND j.topic = '{{topic}}' AND j.op = 'r') THEN
        RETURN NULL;  -- this transaction already says "fetch again"
      END IF;
    END IF;

    IF TG_OP = 'UPDATE' THEN
      {{look_new}}
      INSERT INTO pgherald.journal (topic, op, pk, own_new, data, actor)
      SELECT '{{topic}}',
             CASE WHEN {{this_stays}} THEN '{{u}}'::"char" END,
             {{this_key}},
             {{this_own}},
             {{this_data}},
             nullif(current_setting('pgherald.actor', true), '')
      FROM old_rows AS past, new_rows AS this
      WHERE {{this_differs}}
      RETURNING CASE WHEN age(xmin) < -32 THEN -id
                     WHEN id % 64 = 0 OR {{asleep}}
                     THEN id END INTO more;
    ELSIF TG_OP = 'INSERT' THEN
      {{look_new}}
      INSERT INTO pgherald.journal (topic, op, pk, own_new, data, actor{{past}})
      SELECT '{{topic}}', '{{i}}',
             {{this_key}},
             {{this_own}},
             {{this_data}},
             nullif(current_setting('pgherald.actor', true), ''){{snap}}
      FROM new_rows AS this
      RETURNING CASE WHEN age(xmin) < -32 THEN -id
                     WHEN id % 64 = 0 OR {{asleep}}{{or_new_moved}}
                     THEN id END{{new_moved}} INTO more{{and_moved}};
    ELSIF TG_OP = 'DELETE' THEN
      {{look_gone}}
      INSERT INTO pgherald.journal (topic, op, pk, own_old, data, actor)
      SELECT '{{topic}}', '{{d}}',
             {{this_key}},
             {{this_own}},
             {{this_data_gone}},
             nullif(current_setting('pgherald.actor', true), '')
      FROM old_rows AS this
      RETURNING CASE WHEN age(xmin) < -32 THEN -id
                     WHEN id % 64 = 0 OR {{asleep}}{{or_old_moved}}
                     THEN id END{{old_moved}} INTO more{{and_moved}};
      {{vigil_gone}}
    ELSE
      more := 0;
    END IF;
    IF more IS NULL THEN
      RETURN NULL;  -- recorded, or there was nothing to record
    END IF;
    IF more < 0 THEN
      IF pgherald.too_much('{{topic}}', 0) IS NOT NULL THEN
        RAISE 'too much for the quick way';
      END IF;
    END IF;
  EXCEPTION
    WHEN serialization_failure THEN
      RAISE;
    WHEN OTHERS THEN
      more := 0;
  END;

  -- Whatever goes wrong in here is told: a warning, the counter of losses, "fetch again".
  BEGIN
    IF more <> 0 THEN
      last_id := abs(more);
      written := 1;
    ELSE
      -- The careful way.
      IF TG_OP = 'DELETE' THEN
        SELECT count(*) INTO n_here FROM (SELECT FROM old_rows LIMIT 501) AS few;
      ELSIF TG_OP <> 'TRUNCATE' THEN
        SELECT count(*) INTO n_here FROM (SELECT FROM new_rows LIMIT 501) AS few;
      END IF;
      IF n_here = 0 THEN
        RETURN NULL;
      END IF;
      reason := pgherald.too_much('{{topic}}', coalesce(n_here, 1));
      IF reason = '' THEN
        RETURN NULL;
      ELSIF reason IS NOT NULL THEN
        written := 1;
        last_id := pgherald.refetch('{{topic}}', reason, coalesce(n_here, 0));
      ELSIF TG_OP = 'TRUNCATE' THEN
        written := 1;
        moved := true;
        INSERT INTO pgherald.journal (topic, op) VALUES ('{{topic}}', 't') RETURNING id INTO last_id;
      ELSIF TG_OP = 'INSERT' THEN
        WITH recorded AS (
          INSERT INTO pgherald.journal (topic, op, pk, own_new, data, actor{{past}})
          SELECT '{{topic}}', '{{i}}', it.pk, it.own, it.data, nullif(current_setting('pgherald.actor', true), ''){{snap}}
          FROM ({{each}}
                FROM (SELECT new_rows.*{{place}} FROM new_rows) AS pgherald_row
                {{cross_new}}) AS it
          RETURNING id, pk, own_new <> '{}' AS moved)
        SELECT count(*), max(recorded.id), bool_or(recorded.moved), bool_or(recorded.pk IS NULL)
        INTO written, last_id, moved, no_key FROM recorded;
      ELSIF TG_OP = 'DELETE' THEN
        WITH recorded AS (
          INSERT INTO pgherald.journal (topic, op, pk, own_old, data, actor)
          SELECT '{{topic}}', '{{d}}', it.pk, it.own, it.data, nullif(current_setting('pgherald.actor', true), '')
          FROM ({{each}}
                FROM (SELECT old_rows.*{{place}} FROM old_rows) AS pgherald_row
                {{cross_gone}}) AS it
          RETURNING id, pk, own_old <> '{}' AS moved)
        SELECT count(*), max(recorded.id), bool_or(recorded.moved), bool_or(recorded.pk IS NULL)
        INTO written, last_id, moved, no_key FROM recorded;
      ELSE
        {{look_old}}
        -- Paired by key; where it changed there is one gone and one new. A cascade that comes back to the
        -- table adds to these rows: the same one is then there as often as it was changed.
        WITH recorded AS (
          INSERT INTO pgherald.journal (topic, op, pk, own_old, own_new, data, past, actor)
          SELECT '{{topic}}',
                 (CASE WHEN o.place IS NULL THEN '{{i}}' WHEN n.place IS NULL THEN '{{d}}' ELSE '{{u}}' END)::"char",
                 coalesce(n.pk, o.pk), coalesce(o.own, '{}'), coalesce(n.own, '{}'), coalesce(n.data, o.data),
                 CASE WHEN {{moved}} THEN o.data END,
                 nullif(current_setting('pgherald.actor', true), '')
          FROM (SELECT v.*, row_number() OVER (PARTITION BY v.pk COLLATE "C" ORDER BY v.place) AS nth
                FROM ({{each}}, row_number() OVER () AS place
                      FROM (SELECT old_rows.*{{place}} FROM old_rows) AS pgherald_row
                      {{cross_old}}) AS v) AS o
          FULL JOIN (SELECT v.*, row_number() OVER (PARTITION BY v.pk COLLATE "C" ORDER BY v.place) AS nth
                     FROM ({{each}}, row_number() OVER () AS place
                           FROM (SELECT new_rows.*{{place}} FROM new_rows) AS pgherald_row
                           {{cross_new}}) AS v) AS n
            ON n.pk = o.pk AND n.nth = o.nth
          WHERE o.place IS NULL OR n.place IS NULL  -- or an update that changed something
             OR o.data::text <> n.data::text
          ORDER BY coalesce(n.place, o.place), n.place NULLS FIRST
          RETURNING id, pk, past IS NOT NULL AS moved)
        SELECT count(*), max(recorded.id), bool_or(recorded.moved), bool_or(recorded.pk IS NULL)
        INTO written, last_id, moved, no_key FROM recorded;
      END IF;
      IF no_key THEN
        RAISE EXCEPTION 'a column of the key is missing';
      END IF;
      IF written = 0 THEN
        RETURN NULL;
      END IF;
      {{vigil}}
    END IF;
    IF last_id % 64 < written THEN
      PERFORM pgherald.shut_when_full();
    END IF;
    {{rescope}}

    -- Wake the daemon; PostgreSQL sends the same text once in a transaction. A full queue would fail
    -- the COMMIT; a daemon that is awake holds this lock, and a NOTIFY would make all writers queue
    -- up for nothing (DBAs: doc/capture.md).
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
