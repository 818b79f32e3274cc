--# One watched table: its trigger function and four triggers. See core.sql for {{names}}.
-- pgherald {{version}}: watch {{topic}}, table {{table_comment}}
-- Locks: CREATE TRIGGER holds SHARE ROW EXCLUSIVE on that table until COMMIT: reads go on, writes
-- wait for a moment. If the lock cannot be had within lock_timeout, nothing has happened. A function
-- that is only replaced takes no lock on the table.
{{begin}}

{{refuse}}

{{home}}

{{grants}}

SET LOCAL ROLE pgherald_owner;

-- Watched before? Then whoever listens misses what happens without the triggers.
DO $pgherald$
BEGIN
  PERFORM pg_catalog.set_config('pgherald.missed', CASE WHEN
    pg_catalog.to_regprocedure('pgherald.on_{{topic}}()') IS NOT NULL THEN 'maybe' ELSE '' END, true);
END
$pgherald$;

{{on}}
REVOKE ALL ON FUNCTION pgherald.on_{{topic}}() FROM PUBLIC;
{{settings}}
{{stamp}}

-- Those of version 3 were given transactions, and belonged to who has the journal.
DROP FUNCTION IF EXISTS pgherald.tell_{{topic}}(bigint[]), pgherald.settle_{{topic}}(bigint[]);
-- What reads tables of the application belongs to a role that reads nothing else: not the journal.
GRANT CREATE ON SCHEMA pgherald TO pgherald_teller;
SET LOCAL ROLE pgherald_teller;

{{tell}}
{{names}}
{{owners}}
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
    SELECT t.tgname::text FROM pg_catalog.pg_trigger AS t
    WHERE t.tgrelid = {{table_literal}}::pg_catalog.regclass
      AND t.tgname IN ('zz_pgherald_i', 'zz_pgherald_u', 'zz_pgherald_d', 'zz_pgherald_t'));
  good CONSTANT text[] := ARRAY(
    SELECT t.tgname::text FROM pg_catalog.pg_trigger AS t
    WHERE t.tgrelid = {{table_literal}}::pg_catalog.regclass
      AND t.tgfoid = 'pgherald.on_{{topic}}()'::pg_catalog.regprocedure
      AND t.tgenabled IN ('O', 'A'));
BEGIN
  IF pg_catalog.cardinality(good) < 4 AND pg_catalog.current_setting('pgherald.missed') = 'maybe' THEN
    PERFORM pg_catalog.set_config('pgherald.missed', 'yes', true);
  END IF;
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

-- Ways to owners that are followed no longer. (Not of `upgrade`: this locks their tables.)
DO $pgherald$
DECLARE
  way record;
BEGIN
  FOR way IN SELECT p.oid::regprocedure AS function,
                    ARRAY(SELECT format('DROP TRIGGER %I ON %s', t.tgname, t.tgrelid::regclass)
                          FROM pg_trigger AS t WHERE t.tgfoid = p.oid) AS triggers
             FROM pg_proc AS p
             WHERE p.pronamespace = 'pgherald'::regnamespace AND p.proname ~ '^(way|seek)_{{topic}}_[0-9]+$'
               AND substring(p.proname FROM '[0-9]+$')::int > {{n_ways}}
  LOOP
    FOR i IN 1 .. cardinality(way.triggers) LOOP
      EXECUTE way.triggers[i];
    END LOOP;
    EXECUTE format('DROP ROUTINE %s', way.function);
  END LOOP;
END
$pgherald$;

SET LOCAL ROLE pgherald_owner;
INSERT INTO pgherald.journal (id, topic, op, data) OVERRIDING SYSTEM VALUE
SELECT pgherald.next_id(), '{{topic}}', 'r', '{"reason":"schema"}'
WHERE pg_catalog.current_setting('pgherald.missed') = 'yes';
RESET ROLE;
COMMIT;
