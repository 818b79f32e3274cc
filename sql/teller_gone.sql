--# Part of teller.sql and revoke_unneeded.sql.
-- Roles that teller.sql has made, and that nothing in this database needs any more.
FOR r IN SELECT u.rolname AS name
         FROM pg_roles AS u
         WHERE u.rolname ~ '^pgherald_teller_' AND NOT u.rolsuper
           AND shobj_description(u.oid, 'pg_authid') = 'made by pgherald sql install'
           AND pg_has_role(current_user, u.oid, 'USAGE')
           AND NOT EXISTS (SELECT FROM pg_proc AS p WHERE p.proowner = u.oid)
           AND EXISTS (SELECT FROM pg_shdepend AS d
                       JOIN pg_database AS b ON b.oid = d.dbid AND b.datname = current_database()
                       WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid = u.oid) LOOP
  EXECUTE format('DROP OWNED BY %I', r.name);
  BEGIN
    EXECUTE format('DROP ROLE %I', r.name);
  EXCEPTION WHEN dependent_objects_still_exist OR insufficient_privilege THEN
    NULL;
  END;
END LOOP;
