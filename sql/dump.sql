--# The end of `install`. See core.sql for {{names}}; sql/check/want.sql has the same condition.
-- pgherald {{version}}: pg_dump by roles of the application goes on working
-- Locks: none on tables of the application.
{{begin}}
SET LOCAL ROLE pgherald_owner;

-- pg_dump reads every table of its database, or fails. So a role that owns watched tables may read the
-- journal, if it may read every table and column that the journal has anything of: then it reads there
-- what it could read where it was. Nobody else.
DO $pgherald$
DECLARE
  dumper name;
BEGIN
  FOR dumper IN
    WITH watched AS (
      SELECT DISTINCT r.oid, r.relowner
      FROM pg_trigger AS t
      JOIN pg_class AS r ON r.oid = t.tgrelid
      JOIN pg_proc AS p ON p.oid = t.tgfoid
      WHERE p.pronamespace = to_regnamespace('pgherald') AND p.proname ~ '^(on|way)_')
    SELECT DISTINCT u.rolname
    FROM watched AS w
    JOIN pg_roles AS u ON u.oid = w.relowner
    WHERE NOT u.rolsuper AND u.rolname NOT IN ({{owner_literals}})
      AND NOT EXISTS (SELECT FROM watched AS other WHERE NOT has_table_privilege(u.oid, other.oid, 'SELECT'))
      AND NOT EXISTS (SELECT FROM pg_attribute AS a
                      CROSS JOIN LATERAL aclexplode(a.attacl) AS acl
                      WHERE acl.grantee::regrole::text ~ '^pgherald_teller(_|$)'
                        AND NOT has_column_privilege(u.oid, a.attrelid, a.attnum, 'SELECT'))
  LOOP
    EXECUTE format('GRANT USAGE ON SCHEMA pgherald TO %I', dumper);
    EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA pgherald TO %I', dumper);
    EXECUTE format('GRANT SELECT ON ALL SEQUENCES IN SCHEMA pgherald TO %I', dumper);
  END LOOP;
END
$pgherald$;
RESET ROLE;
COMMIT;
