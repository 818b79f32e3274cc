--# Takes the triggers of way.sql out again. See core.sql for {{names}}.
-- pgherald {{version}}: owners of watch {{topic}} by way of {{table_comment}} are followed no longer
-- Locks: DROP TRIGGER takes ACCESS EXCLUSIVE on that table: reads and writes wait for a moment. If
-- the lock cannot be had within lock_timeout, nothing has happened.
{{begin}}

DO $pgherald$
BEGIN
  IF EXISTS (SELECT FROM pg_trigger AS t
             WHERE t.tgrelid = to_regclass({{table_literal}})
               AND t.tgfoid = to_regprocedure('pgherald.{{function}}()')) THEN
    DROP TRIGGER IF EXISTS zz_pgherald_{{function}}_i ON {{table}};
    DROP TRIGGER IF EXISTS zz_pgherald_{{function}}_u ON {{table}};
    DROP TRIGGER IF EXISTS zz_pgherald_{{function}}_d ON {{table}};
    DROP TRIGGER IF EXISTS zz_pgherald_{{function}}_t ON {{table}};
  END IF;
END
$pgherald$;
DROP FUNCTION IF EXISTS pgherald.{{function}}(), pgherald.{{seek}}(text[], text[], text[]);
COMMIT;
