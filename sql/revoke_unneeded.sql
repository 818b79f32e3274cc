--# The end of `install`, and of `uninstall` of one watch. See core.sql for {{names}}.
-- pgherald {{version}}: rights on tables of the application that nothing needs any more
-- Locks: none where nothing is revoked.
{{begin}}
DO $pgherald$
DECLARE
  r record;
BEGIN
  -- Functions of another configuration for this database have needs of their own.
  IF EXISTS (SELECT FROM pg_proc AS p
             WHERE p.pronamespace = to_regnamespace('pgherald')
               AND NOT EXISTS (SELECT FROM unnest(ARRAY[
                                 {{functions}}]) AS f (name)
                               WHERE to_regprocedure(f.name) = p.oid)) THEN
    RETURN;
  END IF;
  FOR r IN WITH needed AS (
             SELECT to_regrole(w.role) AS role, w.object, w.col
             FROM (VALUES
               {{rights}}
               (NULL, NULL, NULL)) AS w (role, object, col)),
           teller AS (  -- see teller.sql
             SELECT DISTINCT u.oid FROM pg_roles AS u JOIN pg_proc AS p ON p.proowner = u.oid
             WHERE u.rolname ~ '^pgherald_teller_' AND p.pronamespace = to_regnamespace('pgherald')),
           reads AS (  -- where there are such, pgherald_teller reads what is a superuser's alone
             SELECT n.role, n.object, n.col FROM needed AS n
             WHERE n.role <> to_regrole('pgherald_teller') OR n.col IS NULL
                OR NOT EXISTS (SELECT FROM teller)
                OR EXISTS (SELECT FROM pg_proc AS p WHERE p.proowner = n.role)
                   AND EXISTS (SELECT FROM pg_class AS c JOIN pg_roles AS u ON u.oid = c.relowner
                               WHERE c.oid = to_regclass(n.object) AND u.rolsuper)
             UNION ALL
             SELECT t.oid, n.object, n.col FROM needed AS n CROSS JOIN teller AS t
             WHERE n.role = to_regrole('pgherald_teller'))
           SELECT u.rolname AS role, x.what
           FROM pg_roles AS u
           CROSS JOIN LATERAL (
             SELECT format('%s (%I) ON %s', acl.privilege_type, a.attname, a.attrelid::regclass) AS what
             FROM pg_attribute AS a
             CROSS JOIN LATERAL aclexplode(a.attacl) AS acl
             WHERE acl.grantee = u.oid
               AND NOT EXISTS (SELECT FROM reads AS n
                               WHERE n.role = u.oid AND n.col = a.attname AND acl.privilege_type = 'SELECT'
                                 AND CASE WHEN n.col IS NOT NULL THEN to_regclass(n.object) END = a.attrelid)
             UNION ALL
             SELECT format('%s ON %s', acl.privilege_type, t.oid::regclass)
             FROM pg_class AS t
             CROSS JOIN LATERAL aclexplode(t.relacl) AS acl
             WHERE acl.grantee = u.oid AND t.relkind IN ('r', 'p', 'v', 'm', 'f')
               AND t.relnamespace <> to_regnamespace('pgherald')
             UNION ALL
             SELECT format('%s ON SCHEMA %I', acl.privilege_type, s.nspname)
             FROM pg_namespace AS s
             CROSS JOIN LATERAL aclexplode(s.nspacl) AS acl
             WHERE acl.grantee = u.oid AND s.nspname <> 'pgherald'
               AND NOT EXISTS (SELECT FROM reads AS n
                               WHERE n.role = u.oid AND n.col IS NULL AND acl.privilege_type = 'USAGE'
                                 AND CASE WHEN n.col IS NULL THEN to_regnamespace(n.object) END = s.oid)) AS x
           WHERE u.rolname IN ({{owner_literals}}) OR u.oid IN (SELECT t.oid FROM teller AS t)
  LOOP
    EXECUTE format('REVOKE %s FROM %I', r.what, r.role);
  END LOOP;

  {{gone}}
END
$pgherald$;
COMMIT;
