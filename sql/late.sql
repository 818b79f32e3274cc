--# Part of teller.sql with capture = journal.
FOR r IN SELECT p.oid::regprocedure AS function
         FROM pg_proc AS p
         WHERE p.pronamespace = 'pgherald'::regnamespace AND p.proname ~ '{{lookups}}' LOOP
  EXECUTE format('REVOKE ALL ON FUNCTION %s FROM pgherald_owner', r.function);
END LOOP;
