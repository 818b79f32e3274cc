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
  tx      bigint;
  tally   text;       -- "txid id" of this transaction's row that says "fetch again"
  n_rows  int;        -- what it has recorded so far
  n_stmts int;
  n_here  int;        -- rows of this statement, as far as counted
  written int;
  moved   boolean;    -- whether an update gave a row to other owners
  reason  text;       -- why this statement becomes one "fetch again"
  last_id bigint;
  olds    jsonb[];
  news    jsonb[];
BEGIN
  -- The quick way: nearly every statement changes one row and leaves it with its owners. Only
  -- what is at hand is recorded; names are looked up by who reads the journal (tell_{{topic}}). An
  -- update that changed nothing writes nothing (save() writes every column). What is not so
  -- simple fails, is undone, and left to the careful way: a second row (INTO wants one; of two
  -- rows before and two after, two pairs differ at least), a NULL as op, a column that is gone
  -- or has become something else; and when the journal is closed, there is no id for the row. This
  -- block and the next are the guard: whatever goes wrong in them, the application's statement
  -- succeeds.
  BEGIN
    IF current_setting('pgherald.tx_{{topic}}', true) <> '' THEN
      tally := current_setting('pgherald.tx_{{topic}}');
      IF split_part(tally, ' ', 1) = txid_current_if_assigned()::text
         AND EXISTS (SELECT FROM pgherald.journal AS j
                     WHERE j.txid = split_part(tally, ' ', 1)::bigint
                       AND j.id = split_part(tally, ' ', 2)::bigint
                       AND j.topic = '{{topic}}' AND j.op = 'r') THEN
        RETURN NULL;  -- this transaction already says "fetch again"
      END IF;
    END IF;

    IF TG_OP = 'UPDATE' THEN
      INSERT INTO pgherald.journal (topic, op, pk, own_new, data, actor)
      SELECT '{{topic}}',
             CASE WHEN {{this_stays}} THEN 'u'::"char" END, {{this_pk}}, own.ers,
             {{this_data}},
             nullif(current_setting('pgherald.actor', true), '')
      FROM old_rows AS past, new_rows AS this,
           LATERAL ({{this_owners}}) AS own (ers)
      WHERE {{this_differs}}
      RETURNING CASE WHEN age(xmin) < -32 THEN -id
                     WHEN id % 64 = 0 OR {{asleep}}
                     THEN id END INTO more;
    ELSIF TG_OP = 'INSERT' THEN
      INSERT INTO pgherald.journal (topic, op, pk, own_new, data, actor)
      SELECT '{{topic}}', 'i', {{this_pk}}, own.ers,
             {{this_data}},
             nullif(current_setting('pgherald.actor', true), '')
      FROM new_rows AS this,
           LATERAL ({{this_owners}}) AS own (ers)
      RETURNING CASE WHEN age(xmin) < -32 THEN -id
                     WHEN id % 64 = 0 OR {{asleep}}
                     THEN id END INTO more;
    ELSIF TG_OP = 'DELETE' THEN
      INSERT INTO pgherald.journal (topic, op, pk, own_old, data, actor)
      SELECT '{{topic}}', 'd', {{this_pk}}, own.ers,
             {{this_data_gone}},
             nullif(current_setting('pgherald.actor', true), '')
      FROM old_rows AS this,
           LATERAL ({{this_owners}}) AS own (ers)
      RETURNING CASE WHEN age(xmin) < -32 THEN -id
                     WHEN id % 64 = 0 OR {{asleep}}
                     THEN id END INTO more;
    ELSE
      more := 0;
    END IF;
    IF more IS NULL THEN
      RETURN NULL;  -- recorded, or there was nothing to record
    END IF;
    IF more < 0 THEN
      SELECT count(*), count(DISTINCT j.xmin::text) INTO n_rows, n_stmts
      FROM pgherald.journal AS j
      WHERE j.txid = txid_current() AND j.topic = '{{topic}}' AND j.op <> 'r';
      IF n_rows > 500 OR n_stmts > 32 THEN
        RAISE 'too much for the quick way';
      END IF;
    END IF;
  EXCEPTION WHEN OTHERS THEN
    more := 0;
  END;

  -- Whatever goes wrong in here is told: a warning, the counter of losses, "fetch again".
  BEGIN
    IF more <> 0 THEN
      last_id := abs(more);
      written := 1;
    ELSE
      -- The careful way. Two rows at first, to see whether there are more than one.
      written := 0;
      IF TG_OP = 'UPDATE' THEN
        SELECT ARRAY(SELECT to_jsonb(old_rows.*) FROM old_rows LIMIT 2),
               ARRAY(SELECT to_jsonb(new_rows.*) FROM new_rows LIMIT 2)
        INTO olds, news;
      ELSIF TG_OP = 'INSERT' THEN
        news := ARRAY(SELECT to_jsonb(new_rows.*) FROM new_rows LIMIT 2);
      ELSIF TG_OP = 'DELETE' THEN
        olds := ARRAY(SELECT to_jsonb(old_rows.*) FROM old_rows LIMIT 2);
      END IF;
      n_here := greatest(cardinality(olds), cardinality(news));
      IF n_here = 0 THEN
        RETURN NULL;
      END IF;
      tx := txid_current();

      IF n_here > 1 THEN
        IF TG_OP = 'DELETE' THEN
          SELECT count(*) INTO n_here FROM (SELECT FROM old_rows LIMIT 501) AS few;
        ELSE
          SELECT count(*) INTO n_here FROM (SELECT FROM new_rows LIMIT 501) AS few;
        END IF;
      END IF;
      -- Beyond 500 rows in a transaction it is cheaper to fetch again; each statement costs a
      -- subtransaction id (xmin of its rows), and PostgreSQL caches 64 of them.
      SELECT count(*), count(DISTINCT j.xmin::text) INTO n_rows, n_stmts
      FROM pgherald.journal AS j WHERE j.txid = tx AND j.topic = '{{topic}}' AND j.op <> 'r';
      IF n_rows + n_here > 500 OR n_stmts >= 32 THEN
        reason := 'storm';
      END IF;

      -- The journal is as large as it may get: nothing is written but, each minute, one "fetch again",
      -- and each statement counts as a loss, which every daemon and every cursor notices. Only
      -- pgherald.prune opens it again.
      IF pg_sequence_last_value('pgherald.journal_id_seq') = 9223372036854775807 THEN
        PERFORM nextval('pgherald.loss');
        IF EXISTS (SELECT FROM (SELECT * FROM pgherald.journal AS j
                                ORDER BY j.txid DESC, j.id DESC LIMIT 100) AS latest
                   WHERE latest.topic = '{{topic}}' AND latest.op = 'r'
                     AND latest.at > clock_timestamp() - interval '1 minute') THEN
          RETURN NULL;
        END IF;
        reason := 'size';
      END IF;

      IF reason IS NOT NULL THEN
        INSERT INTO pgherald.journal (id, topic, op, n, data) OVERRIDING SYSTEM VALUE
        VALUES (pgherald.next_id(), '{{topic}}', 'r', coalesce(n_here, 0),
                ('{"reason":"' || reason || '"}')::json)
        RETURNING id INTO last_id;
        tally := set_config('pgherald.tx_{{topic}}', tx || ' ' || last_id, true);
      ELSIF TG_OP = 'TRUNCATE' THEN
        INSERT INTO pgherald.journal (topic, op) VALUES ('{{topic}}', 't');
      ELSE
        IF n_here > 1 OR TG_OP = 'UPDATE' AND {{key_changed}} THEN
          IF TG_OP = 'INSERT' THEN
            news := ARRAY(SELECT to_jsonb(new_rows.*) FROM new_rows);
          ELSIF TG_OP = 'DELETE' THEN
            olds := ARRAY(SELECT to_jsonb(old_rows.*) FROM old_rows);
          ELSE  -- paired by key; where it changed there is one gone and one new
            SELECT array_agg(o.r ORDER BY coalesce(n.place, o.place), n.place NULLS FIRST),
                   array_agg(n.r ORDER BY coalesce(n.place, o.place), n.place NULLS FIRST)
            INTO olds, news
            FROM (SELECT to_jsonb(old_rows.*) AS r, row_number() OVER () AS place FROM old_rows) AS o
            FULL JOIN (SELECT to_jsonb(new_rows.*) AS r, row_number() OVER () AS place
                       FROM new_rows) AS n
              ON {{same_key}};
          END IF;
        END IF;

        IF {{key_missing}} THEN
          RAISE EXCEPTION 'a column of the key is missing';
        END IF;
        WITH recorded AS (
          INSERT INTO pgherald.journal (topic, op, pk, own_old, own_new, data, past, actor)
          SELECT
            '{{topic}}',
            (CASE WHEN it.was IS NULL THEN 'i' WHEN it.now IS NULL THEN 'd' ELSE 'u' END)::"char",
            {{pk}},
            own.before,
            own.after,
            {{data}},
            CASE WHEN it.was IS NOT NULL AND it.now IS NOT NULL AND own.before <> own.after
                 THEN {{past}} END,
            nullif(current_setting('pgherald.actor', true), '')
          FROM (SELECT pair.was, pair.now, coalesce(pair.now, pair.was) AS one, pair.place
                FROM unnest(olds, news) WITH ORDINALITY AS pair (was, now, place)
                OFFSET 0) AS it
          CROSS JOIN LATERAL (
                SELECT {{own_old}} AS before,
                       {{own_new}} AS after
                OFFSET 0) AS own
          WHERE it.was IS NULL OR it.now IS NULL  -- or an update that changed something
             OR {{differs}}
          ORDER BY it.place
          RETURNING id, op = 'u' AND own_old <> own_new AS moved)
        SELECT count(*), max(recorded.id), bool_or(recorded.moved)
        INTO written, last_id, moved FROM recorded;
        IF written = 0 THEN
          RETURN NULL;
        END IF;
      END IF;
    END IF;
    -- Every 64 rows, whether the journal has become too large; the number closes it.
    IF last_id % 64 < written THEN
      IF pg_total_relation_size('pgherald.journal')
         > (SELECT m.stop_bytes FROM pgherald.meta AS m) THEN
        PERFORM setval('pgherald.gate', seq.at), setval('pgherald.journal_id_seq', 9223372036854775807)
        FROM (SELECT pg_sequence_last_value('pgherald.journal_id_seq') AS at OFFSET 0) AS seq
        WHERE seq.at < 9223372036854775807;
      END IF;
    END IF;
    {{rescope}}

    -- Wake the daemon; PostgreSQL sends the same text once in a transaction. A full queue would fail
    -- the COMMIT; a daemon that is awake holds this lock, and a NOTIFY would make all writers queue
    -- up for nothing (DBAs: doc/capture.md).
    IF {{may_ring}} THEN
      PERFORM pg_notify('pgherald', '{"v":1,"topic":"{{topic}}"}');
    END IF;
    RETURN NULL;
  EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'pgherald: % of % not recorded: % (%)', TG_OP, TG_RELID::regclass, SQLERRM, SQLSTATE;
    BEGIN
      PERFORM nextval('pgherald.loss');
    EXCEPTION WHEN OTHERS THEN
      RAISE WARNING 'pgherald: loss not counted: %', SQLERRM;
    END;
    BEGIN
      INSERT INTO pgherald.journal (topic, op, data)
      VALUES ('{{topic}}', 'r', '{"reason":"loss"}') RETURNING id INTO last_id;
      tally := set_config('pgherald.tx_{{topic}}',
                          txid_current() || ' ' || last_id, true);
    EXCEPTION WHEN OTHERS THEN
      NULL;  -- the counter has told the daemon
    END;
    RETURN NULL;
  END;
END
$pgherald$;
