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
               (NULL, NULL, NULL)) AS w (role, object, col))
           SELECT u.rolname AS role, x.what
           FROM pg_roles AS u
           CROSS JOIN LATERAL (
             SELECT format('%s (%I) ON %s', acl.privilege_type, a.attname, a.attrelid::regclass) AS what
             FROM pg_attribute AS a
             CROSS JOIN LATERAL aclexplode(a.attacl) AS acl
             WHERE acl.grantee = u.oid
               AND NOT EXISTS (SELECT FROM needed AS n
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
               AND NOT EXISTS (SELECT FROM needed AS n
                               WHERE n.role = u.oid AND n.col IS NULL AND acl.privilege_type = 'USAGE'
                                 AND CASE WHEN n.col IS NULL THEN to_regnamespace(n.object) END = s.oid)) AS x
           WHERE u.rolname IN ({{owner_literals}})
  LOOP
    EXECUTE format('REVOKE %s FROM %I', r.what, r.role);
  END LOOP;
END
$pgherald$;
COMMIT;
