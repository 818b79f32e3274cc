--# Takes one watched table out again. See core.sql for {{names}}.
-- pgherald {{version}}: no longer watch {{topic}}, table {{table_comment}}
-- Locks: DROP TRIGGER takes ACCESS EXCLUSIVE on that table: reads and writes wait for a moment. If
-- the lock cannot be had within lock_timeout, nothing has happened.
{{begin}}

DO $pgherald$
BEGIN
  IF EXISTS (SELECT FROM pg_trigger AS t
             WHERE t.tgrelid = to_regclass({{table_literal}})
               AND t.tgfoid = to_regprocedure('pgherald.on_{{topic}}()')) THEN
    DROP TRIGGER IF EXISTS zz_pgherald_i ON {{table}};
    DROP TRIGGER IF EXISTS zz_pgherald_u ON {{table}};
    DROP TRIGGER IF EXISTS zz_pgherald_d ON {{table}};
    DROP TRIGGER IF EXISTS zz_pgherald_t ON {{table}};
  END IF;
END
$pgherald$;
DO $pgherald$
DECLARE
  f regprocedure;
BEGIN
  FOR f IN SELECT p.oid FROM pg_proc AS p
           WHERE p.pronamespace = to_regnamespace('pgherald')
             AND p.proname IN ('on_{{topic}}', 'tell_{{topic}}', 'settle_{{topic}}', 'names_{{topic}}',
                               'owners_{{topic}}') LOOP
    EXECUTE format('DROP FUNCTION %s', f);
  END LOOP;
END
$pgherald$;
COMMIT;
