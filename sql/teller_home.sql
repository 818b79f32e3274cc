--# In front of the GRANTs of a piece whose functions read tables: teller.sql is its end. See core.sql for {{names}}.
-- These functions are made by pgherald_teller. Where the last time made them another role's (below), they come
-- back for this transaction; and it is noted what pgherald_teller could read before.
DO $pgherald$
DECLARE
  f record;
BEGIN
  PERFORM set_config('pgherald.had', ARRAY(
    SELECT format('%s.%s', a.attrelid, a.attnum)
    FROM pg_attribute AS a
    CROSS JOIN LATERAL aclexplode(a.attacl) AS acl
    WHERE acl.grantee = to_regrole('pgherald_teller') AND acl.privilege_type = 'SELECT')::text, true);
  FOR f IN SELECT p.oid::regprocedure AS name
           FROM pg_proc AS p
           WHERE p.pronamespace = 'pgherald'::regnamespace AND p.proname ~ '{{readers}}'
             AND p.proowner::regrole::text ~ '^pgherald_teller_' LOOP
    SET LOCAL ROLE pgherald_owner;
    GRANT CREATE ON SCHEMA pgherald TO pgherald_teller;
    RESET ROLE;
    EXECUTE format('ALTER FUNCTION %s OWNER TO pgherald_teller', f.name);
  END LOOP;
END
$pgherald$;
